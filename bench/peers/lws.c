/* An echo on libwebsockets, as its own minimal server is written: a callback per event, what came
 * waits for the connection to be writable. lws [--port N] [--tls CERT KEY] */
#include <libwebsockets.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define MESSAGE_MAX 4096

struct message {
    struct message *next;
    size_t len;
    bool binary;
    uint8_t data[]; /* LWS_PRE bytes before the payload */
};

struct echo {
    struct message *first, **last;
};

static int enqueue(struct lws *wsi, struct echo *e, const void *in, size_t len)
{
    if (len > MESSAGE_MAX || !lws_is_final_fragment(wsi))
        return -1;
    struct message *m = malloc(sizeof *m + LWS_PRE + len);
    if (m == NULL)
        return -1;
    m->next = NULL;
    m->len = len;
    m->binary = lws_frame_is_binary(wsi) != 0;
    memcpy(m->data + LWS_PRE, in, len);
    *e->last = m;
    e->last = &m->next;
    lws_callback_on_writable(wsi);
    return 0;
}

static int dequeue(struct lws *wsi, struct echo *e)
{
    struct message *m = e->first;
    if (m == NULL)
        return 0;
    e->first = m->next;
    if (e->first == NULL)
        e->last = &e->first;
    else
        lws_callback_on_writable(wsi);
    int sent =
        lws_write(wsi, m->data + LWS_PRE, m->len, m->binary ? LWS_WRITE_BINARY : LWS_WRITE_TEXT);
    bool ok = sent >= (int)m->len;
    free(m);
    return ok ? 0 : -1;
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t len)
{
    struct echo *e = user;
    switch (reason) {
    case LWS_CALLBACK_ESTABLISHED:
        e->first = NULL;
        e->last = &e->first;
        return 0;
    case LWS_CALLBACK_RECEIVE:
        return enqueue(wsi, e, in, len);
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return dequeue(wsi, e);
    case LWS_CALLBACK_CLOSED:
        while (e->first != NULL) {
            struct message *next = e->first->next;
            free(e->first);
            e->first = next;
        }
        return 0;
    default:
        return 0;
    }
}

static volatile sig_atomic_t ended;

static void on_signal(int number)
{
    (void)number;
    ended = 1;
}

static int serve(struct lws_context_creation_info *info)
{
    lws_set_log_level(LLL_ERR, NULL);
    struct lws_context *context = lws_create_context(info);
    if (context == NULL)
        return 1;
    struct lws_vhost *vhost = lws_create_vhost(context, info);
    if (vhost == NULL)
        return 1;
    printf("ready %d\n", lws_get_vhost_listen_port(vhost));
    (void)fflush(stdout);
    while (!ended && lws_service(context, 0) >= 0)
        ;
    lws_context_destroy(context);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct lws_protocols protocols[] = {
        {"echo", on_event, sizeof(struct echo), MESSAGE_MAX, 0, NULL, 0},
        {NULL, NULL, 0, 0, 0, NULL, 0},
    };
    struct lws_context_creation_info info = {.iface = "127.0.0.1",
                                             .protocols = protocols,
                                             .gid = -1,
                                             .uid = -1,
                                             .options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS};
    struct rlimit files;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--port") == 0 && i + 1 < argc) {
            info.port = (int)strtol(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--tls") == 0 && i + 2 < argc) {
            info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
            info.ssl_cert_filepath = argv[++i];
            info.ssl_private_key_filepath = argv[++i];
        } else {
            return 2;
        }
    }
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    (void)signal(SIGTERM, on_signal);
    return serve(&info);
}
