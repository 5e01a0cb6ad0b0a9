/* teddy-device: a whole toy on Linux, made of the SDK, and the checker of deployments. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "args.h"
#include "talk.h"
#include "verify.h"

/* SIGINT and SIGTERM as something to poll, so that no handler runs between two lines of ours. */
static int signals_open(void)
{
    sigset_t set;

    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
        return -1;
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

/* What was closed at the start is /dev/null: no socket of ours may take the place of stdin, stdout
 * or stderr. */
static int standard_open(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    return fd < 0 ? -1 : close(fd);
}

int main(int argc, char **argv)
{
    struct args args;
    int status, signals;

    if (standard_open() != 0)
        return EXIT_FAILED;
    if (!args_parse(argc, argv, &args, &status))
        return status;
    if (args.verify)
        return verify(&args);
    signals = signals_open();
    if (signals < 0) {
        perror("teddy-device: signalfd");
        return EXIT_FAILED;
    }
    status = talk(&args, signals);
    close(signals);
    return status;
}
