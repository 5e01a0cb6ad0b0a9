#include "floor.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

enum { TEXT = 1, CLOSE = 8, PING = 9, PONG = 10, KEY_LEN = 24 };

static void die(const char *what)
{
    perror(what);
    exit(1);
}

int floor_listen(uint16_t *port)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(*port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) != 0 ||
        bind(fd, (struct sockaddr *)&a, sizeof a) != 0 || listen(fd, 4096) != 0 ||
        getsockname(fd, (struct sockaddr *)&a, &len) != 0)
        die("listen");
    (void)signal(SIGPIPE, SIG_IGN); /* OpenSSL writes without MSG_NOSIGNAL */
    *port = ntohs(a.sin_port);
    return fd;
}

void floor_ready(uint16_t port)
{
    printf("ready %u\n", port);
    (void)fflush(stdout);
}

int floor_accept(int listener)
{
    int one = 1, fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

void floor_watch(int epoll, int fd, void *ptr)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = ptr};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev) != 0)
        die("epoll_ctl");
}

/* 0: the head is not whole yet. */
static long upgrade(struct floor_conn *c, const uint8_t *in, size_t len, uint8_t *out)
{
    static const char name[] = "\r\nSec-WebSocket-Key: ";
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    char head[FLOOR_BUFFER], joined[KEY_LEN + sizeof guid], accept[32];
    uint8_t digest[SHA_DIGEST_LENGTH];

    if (len < 4 || len >= sizeof head || memcmp(in + len - 4, "\r\n\r\n", 4) != 0)
        return 0;
    memcpy(head, in, len);
    head[len] = '\0';
    const char *key = strcasestr(head, name);
    if (key == NULL)
        return -1;
    memcpy(joined, key + sizeof name - 1, KEY_LEN);
    memcpy(joined + KEY_LEN, guid, sizeof guid - 1);
    SHA1((const uint8_t *)joined, KEY_LEN + sizeof guid - 1, digest);
    EVP_EncodeBlock((uint8_t *)accept, digest, sizeof digest);
    c->upgraded = true;
    return snprintf((char *)out, FLOOR_BUFFER,
                    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
                    "Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                    accept);
}

static void unmask(uint8_t *out, const uint8_t *in, size_t len, const uint8_t mask[4])
{
    uint32_t one;
    size_t i = 0;

    memcpy(&one, mask, 4);
    uint64_t two = (uint64_t)one << 32 | one, word;
    for (; i + 8 <= len; i += 8) {
        memcpy(&word, in + i, 8);
        word ^= two;
        memcpy(out + i, &word, 8);
    }
    for (; i < len; i++)
        out[i] = in[i] ^ mask[i % 4];
}

/* One frame, whole in in[0..*take); the bytes of its answer. The answers of a round must fit
 * FLOOR_BUFFER, which those of 128 bytes and one in flight do. */
static size_t frame(struct floor_conn *c, bool json, const uint8_t *in, size_t head, size_t len,
                    uint8_t *out)
{
    char before[64];
    size_t before_len = 0, after_len = 0, at = 2;
    static const char after[] = "\",\"done\":true}";

    if (json && (in[0] & 15) == TEXT) {
        before_len = (size_t)snprintf(before, sizeof before,
                                      "{\"type\":\"echo\",\"seq\":%u,\"text\":\"", ++c->seq);
        after_len = sizeof after - 1;
    }
    size_t payload = before_len + len + after_len;
    out[0] = (in[0] & 15) == PING ? (uint8_t)(0x80 | PONG) : in[0];
    out[1] = payload < 126 ? (uint8_t)payload : 126;
    if (payload >= 126) {
        out[2] = (uint8_t)(payload >> 8);
        out[3] = (uint8_t)payload;
        at = 4;
    }
    memcpy(out + at, before, before_len);
    unmask(out + at + before_len, in + head, len, in + head - 4);
    memcpy(out + at + before_len + len, after, after_len);
    return at + payload;
}

static bool keep(struct floor_conn *c, const uint8_t *in, size_t len)
{
    free(c->kept);
    c->kept = NULL;
    c->kept_len = (uint32_t)len;
    if (len == 0)
        return true;
    c->kept = malloc(len);
    if (c->kept != NULL)
        memcpy(c->kept, in, len);
    return c->kept != NULL;
}

static long frames(struct floor_conn *c, bool json, const uint8_t *in, size_t len, uint8_t *out)
{
    size_t at = 0, made = 0;

    while (len - at >= 6) {
        const uint8_t *p = in + at;
        size_t size = p[1] & 127, head = 6;
        if (size == 126 && len - at >= 8) {
            size = (size_t)p[2] << 8 | p[3];
            head = 8;
        } else if (size >= 126) {
            break;
        }
        if ((p[0] & 15) == CLOSE || made + size + 128 > FLOOR_BUFFER)
            return -1;
        if (len - at < head + size)
            break;
        made += frame(c, json, p, head, size, out + made);
        at += head + size;
    }
    if ((at < len || c->kept != NULL) && !keep(c, in + at, len - at))
        return -1;
    return (long)made;
}

long floor_answer(struct floor_conn *c, bool json, uint8_t *in, size_t len, uint8_t *out)
{
    static uint8_t joined[2 * FLOOR_BUFFER];

    if (c->kept != NULL) {
        if (c->kept_len > FLOOR_BUFFER)
            return -1;
        memcpy(joined, c->kept, c->kept_len);
        memcpy(joined + c->kept_len, in, len);
        len += c->kept_len;
        in = joined;
    }
    if (c->upgraded)
        return frames(c, json, in, len, out);
    long made = upgrade(c, in, len, out);
    size_t rest = made == 0 ? len : 0;
    if ((rest > 0 || c->kept != NULL) && !keep(c, in, rest))
        return -1;
    return made;
}
