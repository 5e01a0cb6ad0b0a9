/* Does a port keep its contract (teddy/port.h)? A new port runs this, on its chip, against a teddyd
 * and desk.py on the desk; docs/porting.md tells how.
 *
 *   static const struct conformance_board board = {...};
 *   int status = conformance_run(&(struct conformance_config){...});
 *
 * It prints one line per check: `pass`, `FAIL` with what happened, what was expected and where to
 * look, or `skip` with the reason; then a summary. Portable C11: nothing of an operating system
 * apart from the port and the board. It takes 40 KB of code and 12 KB of static memory (x86-64). */
#ifndef CONFORMANCE_H
#define CONFORMANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "teddy/client.h"

/* What the checks need of the machine besides its port. board is the config's board_ctx. */
struct conformance_board {
    /* A fresh boot: makes an instance of the port that knows nothing but what was stored. One at a
     * time. TEDDY_OK, or a teddy_err that ends the run. */
    int (*open)(void *board, void **port_ctx);
    /* The power goes: closes the instance; what it stored stays. */
    void (*close)(void *board, void *port_ctx);
    /* A monotonic clock. */
    uint64_t (*now_ms)(void *board);
    /* Returns when the instance's connection can be read (with wants: or written), or after
     * ms (at most 50). One that simply sleeps makes the run longer, not wrong. */
    void (*wait)(void *board, void *port_ctx, uint32_t ms, unsigned wants);
    /* One line, without its end. */
    void (*print)(void *board, const char *line);

    /* Each may be NULL; its check is then skipped. */
    /* True when the present connection resumed an earlier TLS session. */
    bool (*resumed)(void *board, void *port_ctx);
    /* Spoils one bit of the stored record, as worn flash does; false: it cannot. */
    bool (*damage)(void *board, void *port_ctx, enum teddy_record record);
};

struct conformance_config {
    const struct teddy_port *port;
    const struct conformance_board *board;
    void *board_ctx;

    /* The good server: https://host[:port] of the teddyd on the desk. */
    const char *server_url;
    /* What desk.py printed: "host NAME" and "FAULT PORT" lines. NULL: its checks are skipped. */
    const char *desk;
    /* Registered there with CONFORMANCE_SECRET, which the port signs with. NULL: the vectors' toy.
     */
    const char *device_id, *child_id;

    uint32_t step_timeout_ms; /* given to the core; 0: 5000. A slow chip's handshake must fit. */
    uint32_t call_max_ms;     /* a call that takes longer blocks; 0: 50 */
    uint32_t message_wait_ms; /* for a message of `teddyctl send`; 0: 2000 */
    uint32_t home_wait_ms;    /* for a toy to be online at the good server; 0: 90000 */
    const char *only;         /* runs the checks whose "section: title" contains this; NULL: all */
};

/* The published test vectors' toy (docs/protocol.md). Its secret is known to the whole world:
 * for a desk, never for a product. */
#define CONFORMANCE_DEVICE "Teddy-ESP32-0001"
#define CONFORMANCE_CHILD  "child123"
#define CONFORMANCE_SECRET "a1b2c3d4e5f6789012345678901234567890abcdef1234567890abcdef123456"

/* Runs the checks; erases the port's records before and after. 0: no check failed; 1: some did, or
 * the board's open; 2: the config cannot be used. Threads: one at a time. Blocks: minutes, in
 * board->wait. Allocates: no. */
int conformance_run(const struct conformance_config *config);

/* Prints the "section: title" of every check through board->print. */
void conformance_list(const struct conformance_board *board, void *board_ctx);

#endif
