/* The one toy of this chip, and the table the core calls. */
#include "esp_port.h"
#include "teddy_esp.h"

struct teddy_esp toy = {.link = {.fd = -1}, .wake_fd = -1};

const struct teddy_port teddy_esp_port = {
    .random = crypto_random,
    .hmac_sha256 = secret_hmac,
    .sha1 = crypto_sha1,
    .load = record_load,
    .save = record_save,
    .erase = record_erase,
    .resolve = dns_resolve,
    .connect = link_connect,
    .send = link_send,
    .recv = link_recv,
    .disconnect = link_disconnect,
    .wall_time = clock_wall,
    .server_time = clock_server_time,
    .log = core_log,
};

int teddy_esp_init(void)
{
    int err;

    if (toy.opened)
        return TEDDY_EDUP;
    if ((err = storage_open(&toy)) || (err = secret_check(&toy)) || (err = wait_open(&toy)))
        return err;
    clock_start(&toy);
    toy.opened = true;
    return TEDDY_OK;
}
