/* The board of a Linux machine, with the POSIX port on it. */
#ifndef POSIX_BOARD_H
#define POSIX_BOARD_H

#include "port/conformance/conformance.h"
#include "port/posix/teddy_posix.h"

struct posix_board {
    struct teddy_posix_options options;
    bool verbose; /* the port's log lines on stderr */
};

/* board_ctx is a struct posix_board, port_ctx a struct teddy_posix. */
extern const struct conformance_board posix_board;

/* The port under test: teddy_posix_port, or what broken.c makes of it. */
const struct teddy_port *posix_board_port(void);

/* Called at each boot, before the instance is made: broken.c forgets what it should. */
void posix_board_booted(void);

/* broken.c: chooses how the port is broken; false: unknown. */
bool posix_board_break(const char *how);

#endif
