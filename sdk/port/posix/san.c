/* iPAddress entries of subjectAltName (RFC 5280 section 4.2.1.6), read strictly: anything malformed
 * means no match. */
#include "posix_port.h"

#include <mbedtls/asn1.h>
#include <mbedtls/oid.h>
#include <string.h>

#define TAG_SEQUENCE   (MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE)
#define TAG_IP_ADDRESS (MBEDTLS_ASN1_CONTEXT_SPECIFIC | 7)

struct der {
    unsigned char *p;
    const unsigned char *end;
};

/* Enters the element of that tag; *in is its content, and d moves behind it. */
static bool take(struct der *d, int tag, struct der *in)
{
    size_t len = 0;

    if (mbedtls_asn1_get_tag(&d->p, d->end, &len, tag) != 0)
        return false;
    in->p = d->p;
    in->end = d->p + len;
    d->p += len;
    return true;
}

static bool is_end(const struct der *d)
{
    return d->p == d->end;
}

/* GeneralNames, whole: an entry after a match may still prove it malformed. */
static bool names_have(struct der *names, const uint8_t *ip, size_t ip_len)
{
    bool found = false;

    while (!is_end(names)) {
        struct der name;
        int tag = *names->p;
        if ((tag & MBEDTLS_ASN1_TAG_CLASS_MASK) != MBEDTLS_ASN1_CONTEXT_SPECIFIC ||
            !take(names, tag, &name))
            return false;
        if (tag == TAG_IP_ADDRESS && (size_t)(name.end - name.p) == ip_len &&
            memcmp(name.p, ip, ip_len) == 0)
            found = true;
    }
    return found;
}

/* One Extension ::= SEQUENCE { extnID, critical DEFAULT FALSE, extnValue }. */
static bool extension_read(struct der *extension, struct der *oid, struct der *value)
{
    struct der critical;

    if (!take(extension, MBEDTLS_ASN1_OID, oid))
        return false;
    if (!is_end(extension) && *extension->p == MBEDTLS_ASN1_BOOLEAN &&
        !take(extension, MBEDTLS_ASN1_BOOLEAN, &critical))
        return false;
    return take(extension, MBEDTLS_ASN1_OCTET_STRING, value) && is_end(extension);
}

static bool is_san(const struct der *oid)
{
    size_t len = sizeof MBEDTLS_OID_SUBJECT_ALT_NAME - 1;

    return (size_t)(oid->end - oid->p) == len &&
           memcmp(oid->p, MBEDTLS_OID_SUBJECT_ALT_NAME, len) == 0;
}

bool san_has_ip(const mbedtls_x509_crt *crt, const uint8_t *ip, size_t ip_len)
{
    struct der all = {crt->v3_ext.p, crt->v3_ext.p + crt->v3_ext.len}, extensions;

    if (!crt->v3_ext.p || !take(&all, TAG_SEQUENCE, &extensions) || !is_end(&all))
        return false;
    while (!is_end(&extensions)) {
        struct der extension, oid, value, names;
        if (!take(&extensions, TAG_SEQUENCE, &extension) ||
            !extension_read(&extension, &oid, &value))
            return false;
        if (is_san(&oid))
            return take(&value, TAG_SEQUENCE, &names) && is_end(&value) &&
                   names_have(&names, ip, ip_len);
    }
    return false;
}
