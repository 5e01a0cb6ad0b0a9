/* Waiting: for the socket, or for another task that has something to say. */
#include "esp_port.h"

#include <errno.h>
#include <esp_err.h>
#include <esp_vfs_eventfd.h>
#include <sys/select.h>
#include <unistd.h>

/* A handshake that cannot write does not say so: it is looked at again after this. lwIP's send
 * buffer takes whole flights of it, so that this is hardly ever needed. */
#define HANDSHAKE_LOOK_MS 100

int wait_open(struct teddy_esp *p)
{
    esp_vfs_eventfd_config_t config = ESP_VFS_EVENTD_CONFIG_DEFAULT();
    esp_err_t err = esp_vfs_eventfd_register(&config);

    /* ESP_ERR_INVALID_STATE: the application registered it already. */
    if (err != ESP_OK && err != ESP_ERR_INVALID_STATE) {
        port_log(TEDDY_LOG_ERROR, "no eventfd: %s", esp_err_to_name(err));
        return TEDDY_ENOMEM;
    }
    p->wake_fd = eventfd(0, 0);
    return p->wake_fd < 0 ? TEDDY_ENOMEM : TEDDY_OK;
}

void wait_wake(struct teddy_esp *p)
{
    uint64_t one = 1;

    if (p->wake_fd >= 0)
        (void)write(p->wake_fd, &one, sizeof one);
}

static void watch_link(const struct port_link *l, unsigned wants, fd_set *readable,
                       fd_set *writable)
{
    if (l->state == LINK_CONNECTING || wants & TEDDY_WANTS_WRITE || l->wants_write)
        FD_SET(l->fd, writable);
    if (l->state != LINK_CONNECTING && (wants & TEDDY_WANTS_READ || l->state == LINK_HANDSHAKE))
        FD_SET(l->fd, readable);
}

void wait_step(struct teddy_esp *p, uint32_t timeout_ms, unsigned wants)
{
    struct port_link *l = &p->link;
    fd_set readable, writable;
    int last = p->wake_fd;
    struct timeval left;
    uint64_t count;

    FD_ZERO(&readable);
    FD_ZERO(&writable);
    FD_SET(p->wake_fd, &readable);
    if (l->fd >= 0 && l->state != LINK_BROKEN) {
        watch_link(l, wants, &readable, &writable);
        last = l->fd > last ? l->fd : last;
    }
    if (wants & TEDDY_WANTS_READ && tls_has_pending(p))
        timeout_ms = 0;
    else if (l->state == LINK_HANDSHAKE && timeout_ms > HANDSHAKE_LOOK_MS)
        timeout_ms = HANDSHAKE_LOOK_MS;
    left.tv_sec = (time_t)(timeout_ms / 1000);
    left.tv_usec = (suseconds_t)(timeout_ms % 1000 * 1000);
    if (select(last + 1, &readable, &writable, NULL, &left) > 0 && FD_ISSET(p->wake_fd, &readable))
        (void)read(p->wake_fd, &count, sizeof count);
}
