#include <string.h>
#include <unistd.h>

#include "cli/batch.h"

#define WIDTH 40

struct progress progress_begin(void)
{
    return (struct progress){isatty(STDERR_FILENO) == 1, -1};
}

void progress_show(struct progress *p, const char *what, uint64_t done, uint64_t all)
{
    char bar[WIDTH + 1];
    int percent = all > 0 ? (int)(100 * done / all) : 100;

    if (!p->shown || percent == p->percent)
        return;
    p->percent = percent;
    memset(bar, '.', WIDTH);
    memset(bar, '#', (size_t)(percent * WIDTH / 100));
    bar[WIDTH] = '\0';
    (void)fprintf(stderr, "\r[%s] %3d%% %-12s", bar, percent, what);
}

void progress_end(struct progress *p)
{
    if (p->shown && p->percent >= 0)
        (void)fputs("\r\033[K", stderr);
    p->percent = -1;
}
