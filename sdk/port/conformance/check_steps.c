/* Each step of the protocol against the good server, by the SDK's own core on the port. */
#include <string.h>

#include "parts.h"

#define AGAIN_MS     700 /* for a message that must not come again */
#define SHORT_LIFE_S 120 /* an access token's life that is worth waiting for */

static void forget(struct conformance *c)
{
    int rc = until_erased(c);

    if (rc != TEDDY_OK)
        check_fail(c, "erase said %s", err_name(rc));
}

static void claims(struct conformance *c)
{
    c->leave_messages = true;
    forget(c);
    if (!toy_home(c))
        return;
    if (c->seen.connected_claim == 0 || c->seen.count[TEDDY_EVENT_CLAIMED] == 0)
        check_fail(c, "online without a claim, though nothing was kept: does erase erase?");
    else if (c->seen.kept_err != TEDDY_OK)
        check_fail(c, "the tokens could not be kept: %s %s", err_name(c->seen.kept_err),
                   c->tap.log);
}

static void saved_first(struct conformance *c)
{
    size_t len = 0;
    int rc;

    c->leave_messages = true;
    forget(c);
    c->tap.saved_tokens_at = 0;
    if (!toy_home(c))
        return;
    if (c->tap.saved_tokens_at == 0 || c->tap.saved_tokens_at > c->seen.session_at) {
        check_fail(c, "no save said TEDDY_OK before the session's connection was opened");
        return;
    }
    toy_stop(c);
    rc = until_loaded(c, TEDDY_RECORD_TOKENS, c->b, TEDDY_RECORD_MAX, &len);
    if (rc != TEDDY_OK || len == 0)
        check_fail(c, "and yet load says %s", err_name(rc));
}

static bool has_message(const struct conformance *c)
{
    return c->seen.message[0] != '\0';
}

static void message(struct conformance *c)
{
    char id[sizeof c->seen.message];
    size_t len = 0;
    int rc;

    c->tap.saved_last_at = 0;
    if (!toy_home(c))
        return;
    if (!toy_until(c, has_message, c->config.message_wait_ms)) {
        check_skip(c, "none came; queue one before the run: teddyctl send %s hello",
                   c->config.device_id);
        return;
    }
    memcpy(id, c->seen.message, sizeof id);
    if (c->tap.saved_last_at == 0) {
        check_fail(c, "message %s was taken, TEDDY_RECORD_LAST was not saved", id);
        return;
    }
    if (!board_reboot(c))
        return;
    rc = until_loaded(c, TEDDY_RECORD_LAST, c->b, TEDDY_RECORD_MAX, &len);
    if (rc != TEDDY_OK) {
        check_fail(c, "message %s was taken, and after a reboot load of TEDDY_RECORD_LAST says %s",
                   id, err_name(rc));
        return;
    }
    if (!toy_home(c))
        return;
    if (toy_until(c, has_message, AGAIN_MS) && strcmp(c->seen.message, id) == 0)
        check_fail(c, "message %s came again after a reboot; does TEDDY_RECORD_LAST survive it?",
                   id);
    else
        check_pass(c, "%s", id);
}

static bool echoed(const struct conformance *c)
{
    return c->seen.echo_id[0] != '\0';
}

static bool quiet(const struct conformance *c)
{
    return echoed(c) && teddy_client_pending(&c->client) == 0;
}

static void say(struct conformance *c, size_t len)
{
    uint64_t id;
    int rc;

    if (!toy_home(c))
        return;
    memset(c->a, 'a', sizeof c->a);
    for (size_t i = 6; i < len; i += 7)
        c->a[i] = ' ';
    rc = teddy_client_say(&c->client, (const char *)c->a, len, NULL, &id);
    if (rc != TEDDY_OK)
        check_fail(c, "teddy_client_say said %s", err_name(rc));
    else if (!toy_until(c, quiet, 3 * c->config.step_timeout_ms))
        check_fail(c, "%zu bytes were said and not echoed within %lu ms: %s", len,
                   3 * (unsigned long)c->config.step_timeout_ms, toy_story(c));
}

static void says(struct conformance *c)
{
    say(c, 12);
}

static void says_much(struct conformance *c)
{
    say(c, TEDDY_RECORD_MAX); /* as long as our buffer is, and longer than a network's packet */
}

static void reconnects(struct conformance *c)
{
    if (!toy_home(c) || !board_reboot(c) || !toy_home(c))
        return;
    if (c->seen.connected_claim > 0 || c->seen.count[TEDDY_EVENT_CLAIMED] > 0)
        check_fail(
            c, "after a reboot it claimed anew: load gave other tokens than save took, or none");
}

static bool refreshed(const struct conformance *c)
{
    return c->seen.count[TEDDY_EVENT_REFRESHED] > 0;
}

static void refreshes(struct conformance *c)
{
    uint32_t life_s;

    forget(c);
    if (!toy_home(c))
        return;
    life_s = c->seen.expires_in;
    if (life_s > SHORT_LIFE_S) {
        check_skip(c, "the access token lives %lu s; start teddyd with --access-ttl-s 30 to see it",
                   (unsigned long)life_s);
        return;
    }
    if (!toy_until(c, refreshed, life_s * 1000 + c->config.step_timeout_ms)) {
        check_fail(c, "not refreshed within %lu s: %s", (unsigned long)life_s, toy_story(c));
        return;
    }
    if (c->seen.kept_err != TEDDY_OK) {
        check_fail(c, "the new tokens could not be kept: %s", err_name(c->seen.kept_err));
        return;
    }
    if (board_reboot(c) && toy_home(c) && c->seen.connected_claim > 0)
        check_fail(c, "the new tokens were no good after a reboot: it claimed anew");
}

static void resumes(struct conformance *c)
{
    if (c->config.board->resumed == NULL) {
        check_skip(c, "the board does not tell; a port that resumes saves a second per connection");
        return;
    }
    if (!toy_home(c))
        return;
    toy_stop(c);
    if (!toy_home(c))
        return;
    if (!c->config.board->resumed(c->config.board_ctx, c->tap.ctx))
        check_fail(c,
                   "the second connection was a full handshake; is the session kept, and offered?");
}

static void stops(struct conformance *c)
{
    uint64_t before;

    if (!toy_home(c))
        return;
    before = c->tap.clock;
    teddy_client_stop(&c->client);
    if (teddy_client_state(&c->client) != TEDDY_STATE_IDLE)
        check_fail(c, "after teddy_client_stop: %s", toy_story(c));
    else if (c->tap.sent_at <= before)
        check_fail(c, "no goodbye was sent: send took nothing on an idle connection");
    else if (c->tap.disconnected_at <= c->tap.sent_at)
        check_fail(c, "the connection was not closed");
}

static void keeps_time(struct conformance *c)
{
    uint64_t told, at;

    c->tap.told_s = 0;
    if (!toy_home(c))
        return;
    told = c->tap.told_s;
    if (c->seen.count[TEDDY_EVENT_CLOCK] > 0) {
        check_fail(c, "the port's clock is off by %ld s; look at SNTP, and at server_time",
                   (long)c->seen.skew_s);
        return;
    }
    if (!board_reboot(c))
        return;
    at = tap_port.wall_time(&c->tap);
    if (told != 0 && at + 86400 < told)
        check_fail(
            c,
            "after a reboot wall_time is %lu s behind what server_time was told; it is to be "
            "stored",
            (unsigned long)(told - at));
}

/* Good servers too, but the desk's: they do at once what teddyd does every half a minute. */
static bool desk_toy(struct conformance *c, const char *name)
{
    uint16_t port = desk_port(c, name);

    return port != 0 && toy_start(c, desk_url(c, port));
}

static void pings(struct conformance *c)
{
    if (desk_toy(c, "ping") && !toy_until(c, toy_online, 3 * c->config.step_timeout_ms))
        check_fail(c, "the server pinged and waits for the pong: %s", toy_story(c));
}

static bool twice_online(const struct conformance *c)
{
    return refreshed(c) && c->seen.online > 1;
}

static void refreshes_here(struct conformance *c)
{
    if (!desk_toy(c, "refresh"))
        return;
    if (!toy_until(c, twice_online, 6 * c->config.step_timeout_ms))
        check_fail(c,
                   "%s; the server then closed, and takes none but the new tokens; in the end: %s",
                   refreshed(c) ? "refreshed" : "not refreshed", toy_story(c));
    else if (c->seen.kept_err != TEDDY_OK)
        check_fail(c, "the new tokens could not be kept: %s", err_name(c->seen.kept_err));
    else if (c->seen.connected_claim > 1)
        check_fail(c, "the new tokens were no good: it claimed anew");
}

const struct check checks_steps[] = {
    {"protocol", "a toy with nothing claims itself over verified TLS, and is online", claims},
    {"protocol", "the tokens are saved before they are presented", saved_first},
    {"protocol", "a message of the operator is taken, and does not come again", message},
    {"protocol", "an utterance is echoed", says},
    {"protocol", "a long utterance is echoed", says_much},
    {"protocol", "a ping is answered", pings},
    {"protocol", "after a reboot the kept tokens open the session", reconnects},
    {"protocol", "tokens are refreshed in session, and the new ones kept", refreshes_here},
    {"protocol", "tokens are refreshed by teddyd before they expire", refreshes},
    {"protocol", "the TLS session is resumed", resumes},
    {"protocol", "the server's time is kept, and the clock is right", keeps_time},
    {"protocol", "stop says goodbye and closes", stops},
    {0},
};
