#include "load/modes.h"
int handshake_run(const struct options *o)
{
    (void)o;
    return EXIT_FAILED;
}
int claims_run(const struct options *o)
{
    (void)o;
    return EXIT_FAILED;
}
int storm_run(const struct options *o)
{
    (void)o;
    return EXIT_FAILED;
}
