/* Nothing beyond the echo, which the session itself sends. */
#include "process/processors.h"

const struct processor processor_echo = {
    .name = "echo",
    .echo_only = true,
};
