/* Small blocks that live long and are many: connections and sessions. Without the allocator's
 * header and rounding, and not strewn between what requests need for a moment, a tenth less memory
 * holds them. Never given back: what one storm took serves the next. */
#ifndef NET_SLAB_H
#define NET_SLAB_H

#include <stddef.h>

#define SLAB_MAX 384 /* larger ones come from the allocator */

/* Zeroed, aligned as a pointer is. NULL when there is no memory. Threads: any (a lock). */
void *slab_new(size_t size);
/* size as it was asked for. NULL is fine. */
void slab_free(void *p, size_t size);

#endif
