/* The processors there are; process.c lists them. */
#ifndef PROCESS_PROCESSORS_H
#define PROCESS_PROCESSORS_H

#include "process/process.h"

extern const struct processor processor_echo;
extern const struct processor processor_script;
extern const struct processor processor_chat;
extern const struct processor processor_webhook;
extern const struct processor processor_exec;

#endif
