/* Names to addresses, by lwIP's own resolver: asked in lwIP's task, which answers there. One lookup
 * at a time; it cannot be called off, so one that nobody waits for any more is waited out (lwIP
 * gives up by itself) before the next begins. */
#include "esp_port.h"

#include <lwip/dns.h>
#include <lwip/ip_addr.h>
#include <lwip/tcpip.h>
#include <string.h>

_Static_assert(TEDDY_HOST_MAX < DNS_MAX_NAME_LENGTH, "lwIP would refuse the name");
_Static_assert(PORT_ADDRESS_LEN >= IPADDR_STRLEN_MAX, "an address fits");

/* In lwIP's task. The release publishes address. */
static void settle(struct teddy_esp *p, const ip_addr_t *address)
{
    bool found = address && ipaddr_ntoa_r(address, p->dns.address, sizeof p->dns.address);

    atomic_store_explicit(&p->dns.state, found ? DNS_FOUND : DNS_FAILED, memory_order_release);
    wait_wake(p);
}

static void on_answer(const char *name, const ip_addr_t *address, void *arg)
{
    (void)name;
    settle(arg, address);
}

static void ask(void *arg)
{
    struct teddy_esp *p = arg;
    ip_addr_t address;
    err_t err = dns_gethostbyname(p->dns.host, &address, on_answer, p);

    if (err != ERR_INPROGRESS)
        settle(p, err == ERR_OK ? &address : NULL);
}

static int start(struct teddy_esp *p, const char *host)
{
    size_t len = strlen(host);

    if (len == 0 || len >= sizeof p->dns.host)
        return TEDDY_EDNS;
    memcpy(p->dns.host, host, len + 1);
    p->dns.asked = true;
    atomic_store_explicit(&p->dns.state, DNS_RUNNING, memory_order_release);
    if (tcpip_try_callback(ask, p) == ERR_OK)
        return TEDDY_AGAIN;
    /* lwIP's mailbox is full: this step's successor tries again. */
    atomic_store_explicit(&p->dns.state, DNS_IDLE, memory_order_release);
    return TEDDY_AGAIN;
}

int dns_resolve(void *ctx, const char *host)
{
    struct teddy_esp *p = ctx;
    int state = atomic_load_explicit(&p->dns.state, memory_order_acquire);

    if (state == DNS_RUNNING)
        return TEDDY_AGAIN;
    if (state == DNS_IDLE || !p->dns.asked || strcmp(p->dns.host, host) != 0)
        return start(p, host);
    /* An answer serves one connect: lwIP itself remembers it for as long as it lives. */
    atomic_store_explicit(&p->dns.state, DNS_IDLE, memory_order_release);
    if (state == DNS_FOUND)
        return TEDDY_OK;
    port_log(TEDDY_LOG_WARN, "%s is not found", host);
    return TEDDY_EDNS;
}

void dns_forget(struct teddy_esp *p)
{
    p->dns.asked = false;
}
