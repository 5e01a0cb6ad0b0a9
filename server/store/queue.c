/* The bounded queue between those who want something of the store and its threads. */
#include "store/internal.h"

void queue_init(struct queue *q, unsigned max)
{
    *q = (struct queue){.max = max};
    q->tail = &q->head;
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->filled, NULL);
}

void queue_fini(struct queue *q)
{
    pthread_cond_destroy(&q->filled);
    pthread_mutex_destroy(&q->lock);
}

int queue_put(struct queue *q, struct store_job *job)
{
    int err = TEDDY_OK;
    pthread_mutex_lock(&q->lock);
    if (q->closed) {
        err = TEDDY_ECLOSED;
    } else if (q->waiting >= q->max) {
        err = TEDDY_EFULL;
    } else {
        job->next = NULL;
        *q->tail = job;
        q->tail = &job->next;
        q->waiting++;
    }
    pthread_mutex_unlock(&q->lock);
    return err;
}

void queue_wake(struct queue *q)
{
    pthread_cond_signal(&q->filled);
}

struct store_job *queue_take(struct queue *q, unsigned max)
{
    pthread_mutex_lock(&q->lock);
    while (q->head == NULL && !q->closed)
        pthread_cond_wait(&q->filled, &q->lock);
    struct store_job *list = q->head, **end = &list;
    for (unsigned n = 0; *end != NULL && n < max; n++) {
        end = &(*end)->next;
        q->waiting--;
    }
    q->head = *end;
    *end = NULL;
    if (q->head == NULL)
        q->tail = &q->head;
    else
        pthread_cond_signal(&q->filled); /* another reader may take the rest */
    pthread_mutex_unlock(&q->lock);
    return list;
}

void queue_close(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->closed = true;
    pthread_cond_broadcast(&q->filled);
    pthread_mutex_unlock(&q->lock);
}
