/* The toy at work: stdin is said, answers are printed, until the end of input or a signal. */
#ifndef DEVICE_TALK_H
#define DEVICE_TALK_H

#include "args.h"

/* Returns the exit status. signals: a descriptor that becomes readable when the program is to stop.
 */
int talk(const struct args *args, int signals);

#endif
