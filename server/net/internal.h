/* What the files of this room know of each other. */
#ifndef NET_INTERNAL_H
#define NET_INTERNAL_H

#include "net/conn.h"

/* The connections a loop owns: the head of their list. */
struct conn **loop_conns(struct loop *loop);

#endif
