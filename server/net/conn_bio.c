/* What TLS reads and writes goes through the loop, as plain bytes do. */
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <pthread.h>

#include "net/conn_internal.h"

static BIO_METHOD *method;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static bool again(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK;
}

static int bio_read(BIO *b, char *buf, int cap)
{
    struct conn *c = BIO_get_data(b);
    BIO_clear_retry_flags(b);
    ssize_t n = loop_recv(c->loop, &c->io, buf, (size_t)cap);
    if (n == 0)
        BIO_set_flags(b, BIO_FLAGS_IN_EOF);
    else if (n < 0 && again())
        BIO_set_retry_read(b);
    return (int)n;
}

static int bio_write(BIO *b, const char *data, int len)
{
    struct conn *c = BIO_get_data(b);
    BIO_clear_retry_flags(b);
    ssize_t n = loop_send(c->loop, &c->io, data, (size_t)len, c->state == CONN_FINISHING);
    if (n < 0 && again())
        BIO_set_retry_write(b);
    return (int)n;
}

static long bio_ctrl(BIO *b, int cmd, long num, void *ptr)
{
    (void)num;
    (void)ptr;
    if (cmd == BIO_CTRL_EOF)
        return BIO_test_flags(b, BIO_FLAGS_IN_EOF) != 0;
    return cmd == BIO_CTRL_FLUSH;
}

static void make_method(void)
{
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "teddy connection");
    if (method && BIO_meth_set_read(method, bio_read) && BIO_meth_set_write(method, bio_write))
        BIO_meth_set_ctrl(method, bio_ctrl);
}

bool transport_attach(struct conn *c)
{
    pthread_once(&once, make_method);
    BIO *b = method ? BIO_new(method) : NULL;
    if (!b)
        return false;
    BIO_set_data(b, c);
    BIO_set_init(b, 1);
    SSL_set_bio(c->ssl, b, b);
    return true;
}
