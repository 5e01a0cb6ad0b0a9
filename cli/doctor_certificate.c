/* The certificate that toys see: as the server would load it, and who may read its key. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "cli/link.h"
#include "net/tls.h"

#define NAMES_MAX 400

struct paths {
    char cert[4096], key[4096];
    bool own; /* the development certificate */
};

static struct paths paths_of(const struct config *c, const char *dir)
{
    struct paths p = {.own = c->tls_cert[0] == '\0'};

    (void)snprintf(p.cert, sizeof p.cert, "%s%s", p.own ? dir : c->tls_cert,
                   p.own ? "/server.crt" : "");
    (void)snprintf(p.key, sizeof p.key, "%s%s", p.own ? dir : c->tls_key,
                   p.own ? "/server.key" : "");
    return p;
}

static X509 *read_leaf(const char *file)
{
    FILE *f = fopen(file, "re");
    X509 *leaf = f != NULL ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;

    if (f != NULL)
        (void)fclose(f);
    return leaf;
}

static void facts_of(const X509 *leaf, struct certificate_facts *out)
{
    struct tm utc;
    int days = 0, seconds = 0;

    (void)ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(leaf));
    out->days = seconds < 0 && days == 0 ? -1 : days;
    if (ASN1_TIME_to_tm(X509_get0_notAfter(leaf), &utc) != 1 ||
        strftime(out->expires, sizeof out->expires, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0)
        out->expires[0] = '\0';
}

bool certificate_look(struct ctl *ctl, struct certificate_facts *out)
{
    struct config c;
    char err[512];
    X509 *leaf;

    if (doctor_config(ctl, &c, err, sizeof err) != TEDDY_OK || !c.tls)
        return false;
    if (!link_become_owner(ctl->dir))
        return false;
    struct paths p = paths_of(&c, ctl->dir);
    leaf = read_leaf(p.cert);
    link_become_self();
    if (leaf == NULL)
        leaf = read_leaf(p.cert);
    if (leaf == NULL)
        return false;
    memcpy(out->file, p.cert, sizeof out->file);
    facts_of(leaf, out);
    X509_free(leaf);
    return true;
}

/* Names and addresses that it is for. */
static void list_names(const X509 *leaf, char out[NAMES_MAX])
{
    GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    size_t len = 0;

    out[0] = '\0';
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);
        if (n->type != GEN_DNS || len >= NAMES_MAX)
            continue;
        len += (size_t)snprintf(out + len, NAMES_MAX - len, "%s%.*s", len > 0 ? " " : "",
                                ASN1_STRING_length(n->d.dNSName),
                                (const char *)ASN1_STRING_get0_data(n->d.dNSName));
    }
    if (names != NULL && len == 0)
        (void)snprintf(out, NAMES_MAX, "addresses alone");
    GENERAL_NAMES_free(names);
}

/* The server keeps a development certificate that is good for a week more: it has to go. */
static void mend_own(const struct paths *p, char *out, size_t cap)
{
    char cert[WORD_MAX], key[WORD_MAX];

    if (p->own)
        (void)snprintf(out, cap, "rm %s %s && systemctl restart teddyd   # which makes a new one",
                       doctor_word(p->cert, cert), doctor_word(p->key, key));
    else
        (void)snprintf(out, cap, "certbot renew && systemctl reload teddyd");
}

static void examine_leaf(struct doctor *d, const struct paths *p)
{
    struct certificate_facts facts;
    char names[NAMES_MAX];
    char renew[2 * WORD_MAX + 100];
    X509 *leaf = read_leaf(p->cert);

    if (leaf == NULL)
        return; /* it has been said */
    facts_of(leaf, &facts);
    list_names(leaf, names);
    X509_free(leaf);
    mend_own(p, renew, sizeof renew);
    if (names[0] == '\0')
        found(d, FINDING_WRONG,
              "openssl x509 -in CERT -noout -ext subjectAltName   # and have one made "
              "with the name that toys connect to",
              "%s names no host (subjectAltName): toys refuse it", p->cert);
    else
        found_good(d, "%s is for %s", p->cert, names);
    if (facts.days < CERTIFICATE_SOON_DAYS && facts.days >= 0)
        found(d, FINDING_WARNS, renew, "it expires in %lld days (%s)", (long long)facts.days,
              facts.expires);
    else if (facts.days >= 0)
        found_good(d, "it is good for %lld days more", (long long)facts.days);
}

/* A command for what tls_context_new says. */
static void wrong_files(struct doctor *d, const struct paths *p, const char *err)
{
    char mend[2 * WORD_MAX + 100], cert[WORD_MAX], key[WORD_MAX];

    if ((access(p->cert, R_OK) != 0 || access(p->key, R_OK) != 0) && errno == EACCES)
        (void)snprintf(mend, sizeof mend, "sudo teddyctl doctor");
    else if (p->own || strstr(err, "expired") != NULL)
        mend_own(p, mend, sizeof mend);
    else
        (void)snprintf(
            mend, sizeof mend,
            "openssl x509 -in %s -noout -pubkey; openssl pkey -in %s -pubout   # must be the "
            "same",
            doctor_word(p->cert, cert), doctor_word(p->key, key));
    found(d, FINDING_WRONG, mend, "%s", err);
}

/* Whether a process of the service's user could open it: the running server's ids, else those of
 * the data directory's owner with the group teddy. */
static bool readable_by(const struct doctor *d, const char *file)
{
    const struct group *teddy = getgrnam("teddy");
    gid_t groups[1] = {teddy != NULL ? teddy->gr_gid : d->group};
    pid_t child = fork();
    int status = 1;

    if (child == 0) {
        if (setgroups(1, groups) != 0 || setgid(d->group) != 0 || setuid(d->owner) != 0)
            _exit(2);
        _exit(open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK) >= 0 ? 0 : 1);
    }
    return child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status) ||
           WEXITSTATUS(status) != 1;
}

static void examine_readers(struct doctor *d, const char *file, bool secret)
{
    char mend[2 * WORD_MAX + 64], word[WORD_MAX];
    struct stat st;

    (void)doctor_word(file, word);
    if (stat(file, &st) != 0)
        return;
    if (secret && (st.st_mode & 027) != 0) {
        (void)snprintf(mend, sizeof mend, "chmod %s %s",
                       d->config.tls_cert[0] != '\0' ? "640" : "600", word);
        found(d, FINDING_WRONG, mend, "%s may be read by other users (mode %o)", file,
              (unsigned)st.st_mode & 0777);
    }
    if (geteuid() != 0 || d->owner == 0 || !d->has_dir || readable_by(d, file))
        return;
    (void)snprintf(mend, sizeof mend, "chgrp %s %s && chmod 640 %s",
                   getgrnam("teddy") != NULL ? "teddy" : "GROUP", word, word);
    found(d, FINDING_WRONG, mend, "%s cannot be read by the server's user (uid %u)", file,
          (unsigned)d->owner);
}

void examine_certificate(struct doctor *d)
{
    char err[1024] = "", warn[1024] = "";
    struct tls_context *ctx = NULL;
    struct paths p = paths_of(&d->config, d->ctl->dir);
    struct tls_files files = {p.cert, p.key, d->config.tls_ca[0] != '\0' ? d->config.tls_ca : NULL};

    d->area = "certificate";
    if (!d->config.tls) {
        found_good(d, "TLS is off");
        return;
    }
    if (p.own && access(p.cert, F_OK) != 0 && errno == ENOENT) {
        found(d, FINDING_WARNS, "teddyd --tls-cert CHAIN.pem --tls-key KEY.pem",
              "none is configured: at its start the server makes one for development, which no toy "
              "trusts");
        return;
    }
    if (tls_context_new(&files, NULL, &ctx, err, sizeof err, warn, sizeof warn) != TEDDY_OK)
        wrong_files(d, &p, err);
    else if (warn[0] != '\0' && !p.own)
        found(d, FINDING_WARNS,
              "openssl verify -untrusted CHAIN.pem CHAIN.pem   # or name the authority in "
              "tls_ca",
              "%s", warn);
    tls_context_free(ctx);
    examine_leaf(d, &p);
    examine_readers(d, p.cert, false);
    examine_readers(d, p.key, true);
}
