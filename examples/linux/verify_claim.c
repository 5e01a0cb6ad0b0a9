/* The claim that must succeed, and the tokens it gives. */
#include <string.h>

#include "proto/text.h"
#include "verify_parts.h"

static bool is_json(const struct verify *v)
{
    struct span type;
    const char *json = "application/json";

    return http1_field(&v->answer.head, "Content-Type", &type) == 1 && type.len >= strlen(json) &&
           span_ieq((struct span){type.p, strlen(json)}, json);
}

static void members(struct verify *v)
{
    char type[16] = "";
    uint64_t expires_in = 0;
    size_t len;

    (void)!json_string(&v->answer.json, "token_type", type, sizeof type, &len);
    (void)!json_u64(&v->answer.json, "expires_in", &expires_in);
    check(v, strcmp(type, "Bearer") == 0 && expires_in > 0 && is_json(v),
          "the answer is JSON with access, refresh, token_type Bearer, expires_in",
          "token_type %s, expires_in %u", type[0] != '\0' ? type : "missing", (unsigned)expires_in);
    check(v, http1_field_has(&v->answer.head, "Cache-Control", "no-store"),
          "the answer may not be stored (Cache-Control: no-store)", "%s",
          http1_field_has(&v->answer.head, "Cache-Control", "no-store") ? "no-store" : "missing");
}

static const char *fault_of(const struct verify *v, const struct jwt *j, enum jwt_use use)
{
    if (j->use != use)
        return "`use` is another's";
    if (strcmp(j->device_id, v->args->id) != 0 || strcmp(j->child_id, v->args->child) != 0)
        return "`sub` is not device_id:child_id";
    if (j->kid[0] == '\0' || j->iss[0] == '\0' || j->aud[0] == '\0' || j->jti[0] == '\0' ||
        j->sid[0] == '\0')
        return "kid, iss, aud, jti or sid is empty";
    return j->exp > j->iat ? NULL : "`exp` is not after `iat`";
}

static bool token_form(struct verify *v, const char *token, enum jwt_use use, struct jwt *j)
{
    int err = jwt_parse(span_of(token), j);
    const char *fault = err ? teddy_err_text(err) : fault_of(v, j, use);

    return check(
        v, fault == NULL,
        use == JWT_ACCESS
            ? "access is a JWT of three parts: header alg, kid, typ; all claims; sub device:child"
            : "refresh is one too, with its own `use`",
        "%s",
        fault                 ? fault
        : j->alg == JWT_ES256 ? "ES256"
                              : "HS256");
}

/* An answer may wait so long for its commit; expires_in is what is left then. */
#define ANSWERED_WITHIN_S 10

static void lifetimes(struct verify *v, const struct jwt *access, const struct jwt *refresh)
{
    uint64_t now = teddy_posix_port.wall_time(v->main.port);
    uint64_t skew = now > access->iat ? now - access->iat : access->iat - now;
    uint64_t lives = access->exp - access->iat, left = v->pair.expires_in;

    check(v, left <= lives && lives - left <= ANSWERED_WITHIN_S && refresh->exp > access->exp,
          "access lives for expires_in, refresh longer", "%llu s of %llu s, %llu s",
          (unsigned long long)left, (unsigned long long)lives,
          (unsigned long long)(refresh->exp - refresh->iat));
    check(v, strcmp(access->sid, refresh->sid) == 0 && strcmp(access->jti, refresh->jti) != 0,
          "both are of one family (sid) and have their own jti", "%s",
          strcmp(access->sid, refresh->sid) == 0 ? "same sid" : "different sid");
    check(v, skew <= 300, "the server's clock and ours agree within 5 minutes", "%llu s apart",
          (unsigned long long)skew);
}

bool verify_claim(struct verify *v)
{
    struct jwt access, refresh;
    bool claimed = claim_fresh(v);

    if (!check(v, claimed, "a claim is answered 200 with tokens", "%s", seen_answer(v)))
        return false;
    members(v);
    if (token_form(v, v->pair.access, JWT_ACCESS, &access) &
        token_form(v, v->pair.refresh, JWT_REFRESH, &refresh))
        lifetimes(v, &access, &refresh);
    return true;
}
