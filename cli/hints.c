/* What to do about a refusal, behind what the server says of it. */
#include <string.h>

#include "cli/ctl.h"

const char *link_hint(const char *code)
{
    static const struct {
        const char *code, *text;
    } hints[] = {
        {"device_exists", " For a new secret: teddyctl device rotate-secret."},
        {"batch_conflict", " Without --first a batch follows the highest number."},
        {"device_not_found", " teddyctl device list shows those that are."},
        {"family_not_found", " teddyctl family list shows which is."},
        {"downlink_queue_full", " teddyctl message list shows them, message clear withdraws them."},
        {"secret_in_use", " Leave --secret out to have one made."},
        {"several_devices", " Say --device ID."},
        {"store_unavailable", " Try again; the server's log says why."},
        {"key_not_found", " teddyctl key list shows those that are."},
        {"admin_token_not_found", " teddyctl admin-token list shows those that are."},
        {"too_many_admin_tokens", " teddyctl admin-token list shows them."},
        {"master_key_file", " The old key is still good."},
        {"console_off", " Set admin_listen, and leave console on."},
        {"forbidden", " Run teddyctl as that user, or as root: sudo teddyctl …"},
    };

    for (size_t i = 0; i < sizeof hints / sizeof hints[0]; i++)
        if (strcmp(hints[i].code, code) == 0)
            return hints[i].text;
    return "";
}
