#include "net/slab.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { STEP = sizeof(void *), CLASSES = SLAB_MAX / STEP + 1, PAGE = 16 * 1024 };

/* A sanitizer sees into the allocator, not into this. */
#if defined(__SANITIZE_ADDRESS__)
enum { PLAIN = 1 };
#else
enum { PLAIN = 0 };
#endif

struct block {
    struct block *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* all below */
static struct block *unused[CLASSES];                    /* given back, by size in steps */
static char *page[CLASSES];                              /* what was not given out yet */
static size_t left[CLASSES];

static void *take(size_t class)
{
    size_t size = class * STEP;
    struct block *b = unused[class];
    if (b) {
        unused[class] = b->next;
        return b;
    }
    if (left[class] < size) {
        char *fresh = malloc(PAGE);
        if (!fresh)
            return NULL;
        page[class] = fresh;
        left[class] = PAGE;
    }
    char *p = page[class];
    page[class] += size;
    left[class] -= size;
    return p;
}

void *slab_new(size_t size)
{
    size_t class = (size + STEP - 1) / STEP;
    if (PLAIN || size == 0 || size > SLAB_MAX)
        return calloc(1, size ? size : 1);
    pthread_mutex_lock(&lock);
    void *p = take(class);
    pthread_mutex_unlock(&lock);
    return p ? memset(p, 0, size) : NULL;
}

void slab_free(void *p, size_t size)
{
    size_t class = (size + STEP - 1) / STEP;
    if (PLAIN || size == 0 || size > SLAB_MAX) {
        free(p);
        return;
    }
    if (!p)
        return;
    struct block *b = p;
    pthread_mutex_lock(&lock);
    b->next = unused[class];
    unused[class] = b;
    pthread_mutex_unlock(&lock);
}
