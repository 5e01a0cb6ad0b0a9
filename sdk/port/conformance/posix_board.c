/* How a port is plugged into the conformance program: its instance is opened and closed, the clock
 * is told, and what the port waits for is waited for. */
#include "posix_board.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static void on_log(void *user, enum teddy_log_level level, const char *line)
{
    const struct posix_board *b = user;

    (void)level;
    if (b->verbose)
        fprintf(stderr, "      %s\n", line);
}

static int board_open(void *board, void **port_ctx)
{
    struct posix_board *b = board;
    struct teddy_posix *port = NULL;
    char why[400] = "";
    int err;

    posix_board_booted();
    b->options.log = on_log;
    b->options.log_user = b;
    err = teddy_posix_new(&port, &b->options, why, sizeof why);
    if (err)
        fprintf(stderr, "teddy-conformance: %s\n", why);
    *port_ctx = port;
    return err;
}

static void board_close(void *board, void *port_ctx)
{
    (void)board;
    teddy_posix_free(port_ctx);
}

static uint64_t board_clock(void *board)
{
    (void)board;
    return teddy_posix_now_ms();
}

static void board_wait(void *board, void *port_ctx, uint32_t ms, unsigned wants)
{
    (void)board;
    (void)teddy_posix_wait(port_ctx, ms, wants, NULL, 0);
}

static void board_print(void *board, const char *line)
{
    (void)board;
    puts(line);
    fflush(stdout);
}

static bool board_resumed(void *board, void *port_ctx)
{
    struct teddy_posix_peer peer;

    (void)board;
    teddy_posix_peer(port_ctx, &peer);
    return peer.resumed;
}

static bool board_damage(void *board, void *port_ctx, enum teddy_record record)
{
    const struct posix_board *b = board;
    char path[600];
    uint8_t byte;
    bool done = false;
    int fd;

    (void)port_ctx;
    snprintf(path, sizeof path, "%s%s", b->options.state_file,
             record == TEDDY_RECORD_LAST ? ".last" : "");
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return false;
    if (pread(fd, &byte, 1, 40) == 1) {
        byte ^= 0x10;
        done = pwrite(fd, &byte, 1, 40) == 1;
    }
    close(fd);
    return done;
}

const struct conformance_board posix_board = {
    .open = board_open,
    .close = board_close,
    .now_ms = board_clock,
    .wait = board_wait,
    .print = board_print,
    .resumed = board_resumed,
    .damage = board_damage,
};

#ifndef CONFORMANCE_BROKEN
const struct teddy_port *posix_board_port(void)
{
    return &teddy_posix_port;
}

void posix_board_booted(void)
{
}

bool posix_board_break(const char *how)
{
    (void)how;
    return false;
}
#endif
