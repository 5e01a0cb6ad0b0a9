/* TLS by esp-tls, over a socket that is connected already. */
#include "esp_port.h"

#include <esp_tls.h>
#include <mbedtls/net_sockets.h>
#include <sdkconfig.h>
#include <string.h>

int tls_start(struct teddy_esp *p)
{
    struct port_link *l = &p->link;

    p->verdict.date_flags = p->verdict.other_flags = 0;
    p->verdict.seen = false;
    l->tls = esp_tls_init();
    if (!l->tls)
        return TEDDY_ENOMEM;
    if (esp_tls_set_conn_sockfd(l->tls, l->fd) != ESP_OK ||
        esp_tls_set_conn_state(l->tls, ESP_TLS_CONNECTING) != ESP_OK)
        return TEDDY_ETLS;
    return TEDDY_OK;
}

/* What esp-tls noted of its failure. */
static int failure(struct esp_tls *tls, const char *doing)
{
    esp_tls_error_handle_t handle = NULL;
    int code = 0, flags = 0;

    if (esp_tls_get_error_handle(tls, &handle) == ESP_OK)
        (void)esp_tls_get_and_clear_last_error(handle, &code, &flags);
    port_log(TEDDY_LOG_WARN, "TLS failed while %s: -0x%04x", doing, (unsigned)code);
    switch (-code) {
    case 0:
    case MBEDTLS_ERR_SSL_CONN_EOF:
    case MBEDTLS_ERR_NET_CONN_RESET:
    case MBEDTLS_ERR_NET_RECV_FAILED:
    case MBEDTLS_ERR_NET_SEND_FAILED:
        return TEDDY_EIO;
    case MBEDTLS_ERR_SSL_ALLOC_FAILED:
        return TEDDY_ENOMEM;
    default:
        return TEDDY_ETLS;
    }
}

int tls_handshake(struct teddy_esp *p, const char *host, uint16_t port)
{
    struct port_link *l = &p->link;
    esp_tls_cfg_t config = {.crt_bundle_attach = verify_attach};
    int ret, err;

#if CONFIG_TEDDY_TLS_RESUME
    esp_tls_conn_state_t state = ESP_TLS_INIT;

    config.tls_version = ESP_TLS_VER_TLS_1_2;
    /* In the first call alone: esp-tls would set it in each, and Mbed TLS refuses the second. */
    if (esp_tls_get_conn_state(l->tls, &state) == ESP_OK && state == ESP_TLS_CONNECTING)
        config.client_session = resume_offer(p, host, port);
#endif
    /* The name, not the address: the certificate is for it, and SNI says it. */
    ret = esp_tls_conn_new_async(host, (int)strlen(host), port, &config, l->tls);
    if (ret == 0)
        return TEDDY_AGAIN;
    if (ret == 1 && mbedtls_ssl_get_verify_result(esp_tls_get_ssl_context(l->tls)) == 0) {
        l->verified = true;
        if (!p->verdict.seen)
            p->verdict.not_after = p->resume.not_after;
        resume_keep(p, host, port);
        return TEDDY_OK;
    }
    resume_forget(p); /* so that nothing kept can fail us twice */
    err = verify_refused(p, host);
    if (err == TEDDY_OK)
        err = ret == 1 ? TEDDY_ECERT : failure(l->tls, "greeting the server");
    return err;
}

int tls_send(struct teddy_esp *p, const uint8_t *data, size_t len, size_t *sent)
{
    struct port_link *l = &p->link;
    ssize_t n;

    /* A record once made must be flushed by the same call again, however much the caller has by
     * now. No more than one record a call: esp-tls writes in a loop. */
    if (l->pending > len)
        return TEDDY_EINVAL;
    if (l->pending > 0)
        len = l->pending;
    else if (len > MBEDTLS_SSL_OUT_CONTENT_LEN)
        len = MBEDTLS_SSL_OUT_CONTENT_LEN;
    n = esp_tls_conn_write(l->tls, data, len);
    l->wants_write = n == MBEDTLS_ERR_SSL_WANT_WRITE;
    l->pending = l->wants_write ? len : 0;
    if (n > 0) {
        *sent = (size_t)n;
        return TEDDY_OK;
    }
    if (n == 0 || n == MBEDTLS_ERR_SSL_WANT_READ || n == MBEDTLS_ERR_SSL_WANT_WRITE)
        return TEDDY_AGAIN;
    return failure(l->tls, "sending");
}

int tls_recv(struct teddy_esp *p, uint8_t *buf, size_t cap, size_t *got)
{
    struct port_link *l = &p->link;
    ssize_t n = esp_tls_conn_read(l->tls, buf, cap);

    if (n > 0 && (size_t)n <= cap) {
        *got = (size_t)n;
        return TEDDY_OK;
    }
    /* Ended or cut: esp-tls does not say which. The core trusts no length but the one it was told,
     * and an answer without one must still be whole JSON. */
    if (n == 0)
        return TEDDY_ECLOSED;
    if (n == MBEDTLS_ERR_SSL_WANT_READ)
        return TEDDY_AGAIN;
    if (n == MBEDTLS_ERR_SSL_WANT_WRITE) {
        l->wants_write = true;
        return TEDDY_AGAIN;
    }
    return failure(l->tls, "receiving");
}

bool tls_has_pending(const struct teddy_esp *p)
{
    return p->link.state == LINK_OPEN && p->link.tls &&
           mbedtls_ssl_check_pending(esp_tls_get_ssl_context(p->link.tls)) != 0;
}

void tls_stop(struct teddy_esp *p)
{
    struct port_link *l = &p->link;

    if (!l->tls)
        return;
    if (l->state == LINK_OPEN && l->pending == 0)
        (void)mbedtls_ssl_close_notify(esp_tls_get_ssl_context(l->tls));
    (void)esp_tls_conn_destroy(l->tls);
    l->tls = NULL;
    l->fd = -1;
}
