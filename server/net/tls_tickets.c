#include "net/tls_tickets.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/tls_internal.h"
#include "proto/text.h"

/* A ticket's life is two of its key's turns, so that three keys are alive; the fourth place is for
 * clocks that were set. */
enum { KEYS_MAX = 4, NAME_LEN = 16, SECRET_LEN = 32 };

/* As in memory, so in the file, but for the order of since_s's bytes. */
struct ticket_key {
    uint64_t since_s;
    uint8_t name[NAME_LEN]; /* in each ticket, in the clear */
    uint8_t aes[SECRET_LEN], mac[SECRET_LEN];
};
_Static_assert(sizeof(struct ticket_key) == 88, "no padding in the file");

struct ticket_file {
    char magic[16];
    struct ticket_key key[KEYS_MAX]; /* as many as there are */
};
static const char magic[16] = "teddy-tickets-1";
static const char replaced[] = "replaced by new ones";

struct tls_tickets {
    char path[PATH_MAX];
    uint32_t lifetime_s, turn_s;
    EVP_CIPHER *cipher;
    bool unsaved;
    pthread_mutex_t lock;            /* key, count: one thread writes, the loops read */
    struct ticket_key key[KEYS_MAX]; /* the newest first, which seals */
    unsigned count;
};

static void say(char note[TLS_TICKETS_NOTE], const char *what, const char *why)
{
    if (!note[0])
        snprintf(note, TLS_TICKETS_NOTE, "ticket keys %s: %s", what, why);
}

/* The bytes read, or -1 after saying why there are none. */
static ssize_t read_private(struct tls_tickets *t, struct ticket_file *out, char *note)
{
    struct stat st;
    ssize_t n = -1;
    int fd = open(t->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    if (fd < 0) {
        if (errno != ENOENT)
            say(note, replaced, strerror(errno));
        return -1;
    }
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        say(note, replaced, "it was not a file");
    else if (st.st_mode & 077)
        say(note, replaced, "others could read or write the file");
    else if (st.st_size > (off_t)sizeof *out || (n = read(fd, out, sizeof *out)) != st.st_size)
        n = 0; /* damaged */
    close(fd);
    return n;
}

static void load(struct tls_tickets *t, char *note)
{
    struct ticket_file file = {0};
    ssize_t n = read_private(t, &file, note);
    size_t keys = n < 0 ? 0 : (size_t)n - sizeof magic;
    if (n > (ssize_t)sizeof magic && keys % sizeof file.key[0] == 0 &&
        memcmp(file.magic, magic, sizeof magic) == 0) {
        t->count = (unsigned)(keys / sizeof file.key[0]);
        memcpy(t->key, file.key, keys);
        for (unsigned i = 0; i < t->count; i++)
            t->key[i].since_s = be64toh(t->key[i].since_s);
    } else if (n >= 0) {
        say(note, replaced, "the file was damaged");
    }
    wipe(&file, sizeof file);
}

/* Not synced: a power cut may take the file, which costs full handshakes and nothing else, and a
 * loop does this. */
static void save(struct tls_tickets *t, char *note)
{
    struct ticket_file file;
    memcpy(file.magic, magic, sizeof magic);
    memcpy(file.key, t->key, sizeof t->key);
    for (unsigned i = 0; i < t->count; i++)
        file.key[i].since_s = htobe64(file.key[i].since_s);
    size_t len = sizeof magic + t->count * sizeof t->key[0];
    t->unsaved = !tls_file_replace(t->path, &file, len, false);
    if (t->unsaved)
        say(note, "not kept for the next start", strerror(errno));
    wipe(&file, sizeof file);
}

/* A clock that was set back makes no key live longer than from now on. */
static void note_clock(struct tls_tickets *t, uint64_t now_s)
{
    for (unsigned i = 0; i < t->count; i++)
        if (t->key[i].since_s > now_s)
            t->key[i].since_s = now_s;
}

/* The oldest come last. */
static bool drop_expired(struct tls_tickets *t, uint64_t now_s)
{
    bool any = false;
    while (t->count &&
           now_s - t->key[t->count - 1].since_s >= (uint64_t)t->turn_s + t->lifetime_s) {
        wipe(&t->key[--t->count], sizeof t->key[0]);
        any = true;
    }
    return any;
}

static bool make_key(struct ticket_key *key, uint64_t now_s)
{
    key->since_s = now_s;
    return RAND_bytes(key->name, sizeof key->name) == 1 &&
           RAND_priv_bytes(key->aes, sizeof key->aes) == 1 &&
           RAND_priv_bytes(key->mac, sizeof key->mac) == 1;
}

static bool begin_key(struct tls_tickets *t, uint64_t now_s)
{
    struct ticket_key key;
    if (t->count && now_s - t->key[0].since_s < t->turn_s)
        return false;
    bool ok = make_key(&key, now_s);
    if (ok) {
        unsigned keep = t->count < KEYS_MAX ? t->count : KEYS_MAX - 1;
        memmove(t->key + 1, t->key, keep * sizeof key);
        t->key[0] = key;
        t->count = keep + 1;
    }
    wipe(&key, sizeof key);
    return ok;
}

bool tls_tickets_tend(struct tls_tickets *t, uint64_t now_s, char note[TLS_TICKETS_NOTE])
{
    note[0] = 0;
    pthread_mutex_lock(&t->lock);
    note_clock(t, now_s);
    bool dropped = drop_expired(t, now_s), begun = begin_key(t, now_s);
    pthread_mutex_unlock(&t->lock);
    if (dropped || begun || t->unsaved)
        save(t, note);
    return begun;
}

int tls_tickets_open(const char *path, uint32_t lifetime_s, uint64_t now_s,
                     struct tls_tickets **out, char note[TLS_TICKETS_NOTE])
{
    char trouble[TLS_TICKETS_NOTE];
    note[0] = 0;
    struct tls_tickets *t = calloc(1, sizeof *t);
    if (!t)
        return TEDDY_ENOMEM;
    t->cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    if (!t->cipher || pthread_mutex_init(&t->lock, NULL) != 0 ||
        (size_t)snprintf(t->path, sizeof t->path, "%s", path) >= sizeof t->path) {
        EVP_CIPHER_free(t->cipher);
        free(t);
        return TEDDY_ENOMEM;
    }
    t->lifetime_s = lifetime_s;
    t->turn_s = lifetime_s > 1 ? lifetime_s / 2 : 1;
    load(t, note);
    (void)tls_tickets_tend(t, now_s, trouble);
    if (!note[0])
        memcpy(note, trouble, sizeof trouble);
    if (t->count) {
        *out = t;
        return TEDDY_OK;
    }
    tls_tickets_free(t);
    return TEDDY_EIO;
}

void tls_tickets_free(struct tls_tickets *t)
{
    if (!t)
        return;
    pthread_mutex_destroy(&t->lock);
    EVP_CIPHER_free(t->cipher);
    wipe(t, sizeof *t);
    free(t);
}

/* Which key: the newest for a new ticket (name NULL), or the one that a ticket names. 0, or its
 * place counted from 1. */
static unsigned choose(struct tls_tickets *t, const uint8_t *name, struct ticket_key *out)
{
    unsigned found = 0;
    pthread_mutex_lock(&t->lock);
    for (unsigned i = 0; i < t->count && !found; i++)
        if (!name || memcmp(t->key[i].name, name, NAME_LEN) == 0) {
            *out = t->key[i];
            found = i + 1;
        }
    pthread_mutex_unlock(&t->lock);
    return found;
}

/* OpenSSL's contract: 0 no such key (a full handshake), 1 go on, 2 and send a new ticket, -1 wrong.
 * Encrypt-then-MAC over AES-256-CBC and HMAC-SHA-256 is what it has room for. TLS 1.3 clients get a
 * new ticket each time, so that nobody can link their connections by an old one. */
static int key_for(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                   EVP_MAC_CTX *mac, int sealing)
{
    struct tls_tickets *t = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    struct ticket_key key;
    unsigned place = choose(t, sealing ? NULL : name, &key);
    if (!place)
        return 0;
    OSSL_PARAM sha256[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]){"SHA256"}, 0),
        OSSL_PARAM_construct_end()};
    if (sealing)
        memcpy(name, key.name, NAME_LEN);
    bool ok = (!sealing || RAND_bytes(iv, EVP_CIPHER_get_iv_length(t->cipher)) == 1) &&
              EVP_CipherInit_ex2(cipher, t->cipher, key.aes, iv, sealing, NULL) == 1 &&
              EVP_MAC_init(mac, key.mac, sizeof key.mac, sha256) == 1;
    wipe(&key, sizeof key);
    if (!ok)
        return -1;
    return !sealing && (place > 1 || SSL_version(ssl) == TLS1_3_VERSION) ? 2 : 1;
}

void tls_tickets_use(SSL_CTX *ctx, struct tls_tickets *t)
{
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* tickets keep it at the client */
    SSL_CTX_set_max_early_data(ctx, 0); /* what comes early could be played again */
    SSL_CTX_clear_options(ctx, SSL_OP_ALLOW_NO_DHE_KEX); /* resumed or not, keys are exchanged */
    SSL_CTX_set_num_tickets(ctx, t ? 1 : 0);
    if (!t) {
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
        return;
    }
    SSL_CTX_set_timeout(ctx, (long)t->lifetime_s);
    SSL_CTX_set_app_data(ctx, t);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, key_for);
}
