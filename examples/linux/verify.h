/* The integration checklist of docs/protocol.md, walked against any deployment. */
#ifndef DEVICE_VERIFY_H
#define DEVICE_VERIFY_H

#include "args.h"

/* Prints a line per check and a summary; returns the exit status. */
int verify(const struct args *args);

#endif
