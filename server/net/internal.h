/* What the files of this room know of each other. */
#ifndef NET_INTERNAL_H
#define NET_INTERNAL_H

#include <stddef.h>

#include "net/conn.h"

#define CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* The connections a loop owns: the head of their list. */
struct conn **loop_conns(struct loop *loop);

#endif
