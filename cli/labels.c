/* Labels as SVG, a page of A4 each: 4 by 10 of 45.7 mm by 25.4 mm, as sheets of them are sold. A QR
 * code holds the device's id and nothing else. */
#include <errno.h>
#include <pthread.h>
#include <qrencode.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/batch.h"

#define COLUMNS     4u
#define ROWS        10u
#define PER_PAGE    (COLUMNS * ROWS)
#define THREADS_MAX 16
#define LINE_CHARS  12 /* of an id, in the width beside its code */
#define QUIET       4  /* modules of white that a code has around it */
/* The code of the longest id has 37 modules a side; a run takes two of a row, and 9 bytes. */
#define LABEL_MAX (1024u + 37u * 19u * 9u)
#define PAGE_MAX  (1024u + PER_PAGE * LABEL_MAX)

struct text {
    char *p;
    size_t len, cap;
};

static void put(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The caller's buffers have room for the longest. */
static void put(struct text *t, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(t->p + t->len, t->cap - t->len, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= t->cap - t->len)
        abort();
    t->len += (size_t)n;
}

/* A number between -99 and 99. printf would take half as long as the code itself. */
static void put_small(struct text *t, char before, int n)
{
    unsigned size = (unsigned)(n < 0 ? -n : n);

    if (t->cap - t->len < 5)
        abort();
    t->p[t->len++] = before;
    if (n < 0)
        t->p[t->len++] = '-';
    if (size > 9)
        t->p[t->len++] = (char)('0' + size / 10 % 10);
    t->p[t->len++] = (char)('0' + size % 10);
}

/* Runs of dark modules as strokes of one module's height, each from the end of the one before. */
static void put_modules(struct text *t, const QRcode *code)
{
    int width = code->width, x = 0, y = 0;

    put(t, "M0 .5");
    for (int row = 0; row < width; row++) {
        const unsigned char *line = code->data + (ptrdiff_t)row * width;
        for (int at = 0; at < width;) {
            int end = at;
            while (end < width && (line[end] & 1) != 0)
                end++;
            if (end > at) {
                put_small(t, 'm', at - x);
                put_small(t, ' ', row - y);
                put_small(t, 'h', end - at);
                x = end;
                y = row;
            }
            at = end + 1;
        }
    }
}

static void put_words(struct text *t, const char *id)
{
    size_t len = strlen(id), lines = (len + LINE_CHARS - 1) / LINE_CHARS;
    double top = 12.7 - 1.6 * (double)(lines - 1) + 0.9;

    for (size_t n = 0; n < lines; n++)
        put(t, "<text x=\"24\" y=\"%.1f\">%.*s</text>", top + 3.2 * (double)n, LINE_CHARS,
            id + n * LINE_CHARS);
}

static int put_label(struct text *t, const char *id, unsigned place)
{
    QRcode *code = QRcode_encodeData((int)strlen(id), (const unsigned char *)id, 0, QR_ECLEVEL_M);
    double side;

    if (code == NULL)
        return CTL_FAILED;
    side = 22.0 / (code->width + 2 * QUIET);
    put(t,
        "<g transform=\"translate(%.2f %.2f)\"><path transform=\"translate(%.3f %.3f) "
        "scale(%.4f)\" d=\"",
        9.85 + 48.2 * (place % COLUMNS), 21.5 + 25.4 * (place / COLUMNS), 1 + QUIET * side,
        1.7 + QUIET * side, side);
    put_modules(t, code);
    put(t, "\"/>");
    put_words(t, id);
    put(t, "</g>\n");
    QRcode_free(code);
    return CTL_DONE;
}

size_t label_page_count(uint64_t devices)
{
    return (size_t)((devices + PER_PAGE - 1) / PER_PAGE);
}

static int put_page(struct text *t, const struct batch_row *row, size_t page)
{
    uint64_t first = page * PER_PAGE, left = row->count - first;
    char id[LIMIT_ID_LEN + 1];
    int rc = CTL_DONE;

    t->len = 0;
    put(t, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"210mm\" height=\"297mm\" "
           "viewBox=\"0 0 210 297\">\n"
           "<style>path{stroke:#000;stroke-width:1;shape-rendering:crispEdges}"
           "text{font:2.6px monospace}</style>\n"
           "<rect width=\"210\" height=\"297\" fill=\"#fff\"/>\n");
    for (unsigned n = 0; n < PER_PAGE && n < left && rc == CTL_DONE; n++) {
        admin_batch_device(row, first + n, id);
        rc = put_label(t, id, n);
    }
    put(t, "<text x=\"9.85\" y=\"290\">batch %s, page %zu of %zu</text>\n</svg>\n", row->id,
        page + 1, label_page_count(row->count));
    return rc;
}

/* ---- Pages side by side: a code takes some 0.1 ms, nearly all of it to choose its mask ---- */

struct work {
    const struct package *package;
    const struct batch_row *row;
    struct label_page *pages;
    size_t count;
    atomic_size_t next;
    atomic_bool failed;
    pthread_mutex_t lock; /* of the rest */
    struct progress *progress;
    size_t done;
};

static int write_page(struct work *w, size_t page, struct text *t)
{
    struct label_page *p = &w->pages[page];

    if (put_page(t, w->row, page) != CTL_DONE)
        return fail("a QR code could not be made: %s", strerror(errno));
    (void)snprintf(p->name, sizeof p->name, "labels-%05zu.svg", page + 1);
    p->size = t->len;
    return package_put(w->package, p->name, t->p, t->len, p->sha256);
}

static void *work(void *arg)
{
    struct work *w = arg;
    struct text t = {malloc(PAGE_MAX), 0, PAGE_MAX};
    size_t page;

    if (t.p == NULL)
        atomic_store(&w->failed, true);
    while (!atomic_load(&w->failed) && (page = atomic_fetch_add(&w->next, 1)) < w->count) {
        if (write_page(w, page, &t) != CTL_DONE)
            atomic_store(&w->failed, true);
        (void)pthread_mutex_lock(&w->lock);
        progress_show(w->progress, "labels", ++w->done, w->count);
        (void)pthread_mutex_unlock(&w->lock);
    }
    free(t.p);
    return NULL;
}

int labels_write(const struct package *p, const struct batch_row *row, struct label_page *pages,
                 struct progress *progress)
{
    struct work w = {.package = p,
                     .row = row,
                     .pages = pages,
                     .progress = progress,
                     .count = label_page_count(row->count),
                     .lock = PTHREAD_MUTEX_INITIALIZER};
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    pthread_t others[THREADS_MAX];
    int started = 0;

    while (started < THREADS_MAX && started + 1 < processors && (size_t)started + 1 < w.count &&
           pthread_create(&others[started], NULL, work, &w) == 0)
        started++;
    (void)work(&w);
    for (int n = 0; n < started; n++)
        (void)pthread_join(others[n], NULL);
    (void)pthread_mutex_destroy(&w.lock);
    return atomic_load(&w.failed) ? fail("the labels could not be written") : CTL_DONE;
}
