/* SHA-1, SHA-256 (FIPS 180-4) and HMAC (RFC 2104) for tests alone: small and plain, neither fast
 * nor hardened. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/hmac.h>

#define BLOCK   64
#define MSG_MAX 1024

struct rv32_digest {
    uint32_t start[8];
    unsigned words; /* of the result */
    void (*block)(uint32_t h[8], const uint8_t *p);
};

static uint32_t turn(uint32_t x, unsigned by)
{
    return x << by | x >> (32 - by);
}

static uint32_t word_at(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void sha1_block(uint32_t h[8], const uint8_t *p)
{
    uint32_t w[80];
    uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];

    for (unsigned t = 0; t < 80; t++)
        w[t] = t < 16 ? word_at(p + 4 * t) : turn(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
    for (unsigned t = 0; t < 80; t++) {
        uint32_t f = t < 20   ? ((b & c) | (~b & d)) + 0x5A827999
                     : t < 40 ? (b ^ c ^ d) + 0x6ED9EBA1
                     : t < 60 ? ((b & c) | (b & d) | (c & d)) + 0x8F1BBCDC
                              : (b ^ c ^ d) + 0xCA62C1D6;
        uint32_t next = turn(a, 5) + f + e + w[t];

        e = d;
        d = c;
        c = turn(b, 30);
        b = a;
        a = next;
    }
    h[0] += a;
    h[1] += b;
    h[2] += c;
    h[3] += d;
    h[4] += e;
}

static void sha256_block(uint32_t h[8], const uint8_t *p)
{
    static const uint32_t k[64] = {
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
        0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
        0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
        0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
        0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
        0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
        0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
        0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
        0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
        0xc67178f2};
    uint32_t w[64], v[8];

    for (unsigned t = 0; t < 64; t++) {
        if (t < 16) {
            w[t] = word_at(p + 4 * t);
        } else {
            uint32_t x = w[t - 15], y = w[t - 2];

            w[t] = w[t - 16] + (turn(x, 25) ^ turn(x, 14) ^ x >> 3) + w[t - 7] +
                   (turn(y, 15) ^ turn(y, 13) ^ y >> 10);
        }
    }
    memcpy(v, h, sizeof v);
    for (unsigned t = 0; t < 64; t++) {
        uint32_t a = v[0], e = v[4];
        uint32_t one = v[7] + (turn(e, 26) ^ turn(e, 21) ^ turn(e, 7)) +
                       ((e & v[5]) ^ (~e & v[6])) + k[t] + w[t];
        uint32_t two =
            (turn(a, 30) ^ turn(a, 19) ^ turn(a, 10)) + ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));

        memmove(v + 1, v, 7 * sizeof v[0]);
        v[4] += one;
        v[0] = one + two;
    }
    for (unsigned i = 0; i < 8; i++)
        h[i] += v[i];
}

const EVP_MD *EVP_sha1(void)
{
    static const EVP_MD md = {
        {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0}, 5, sha1_block};

    return &md;
}

const EVP_MD *EVP_sha256(void)
{
    static const EVP_MD md = {{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f,
                               0x9b05688c, 0x1f83d9ab, 0x5be0cd19},
                              8,
                              sha256_block};

    return &md;
}

int EVP_Digest(const void *data, size_t len, unsigned char *out, unsigned *out_len,
               const EVP_MD *md, void *impl)
{
    const uint8_t *p = data;
    uint8_t last[2 * BLOCK] = {0};
    size_t left = len % BLOCK;
    size_t padded = left < BLOCK - 8 ? BLOCK : 2 * BLOCK;
    uint64_t bits = (uint64_t)len * 8;
    uint32_t h[8];

    (void)impl;
    memcpy(h, md->start, sizeof h);
    for (; len >= BLOCK; len -= BLOCK, p += BLOCK)
        md->block(h, p);
    memcpy(last, p, left);
    last[left] = 0x80;
    for (unsigned i = 1; i <= 8; i++, bits >>= 8)
        last[padded - i] = (uint8_t)bits;
    for (size_t at = 0; at < padded; at += BLOCK)
        md->block(h, last + at);
    for (unsigned i = 0; i < 4 * md->words; i++)
        out[i] = (uint8_t)(h[i / 4] >> (24 - 8 * (i % 4)));
    *out_len = 4 * md->words;
    return 1;
}

unsigned char *HMAC(const EVP_MD *md, const void *key, int key_len, const unsigned char *data,
                    size_t len, unsigned char *out, unsigned *out_len)
{
    uint8_t inner[BLOCK + MSG_MAX] = {0}, outer[BLOCK + 32] = {0};
    unsigned n;

    if (key_len < 0 || key_len > BLOCK || len > MSG_MAX)
        abort();
    memcpy(inner, key, (size_t)key_len);
    memcpy(outer, key, (size_t)key_len);
    for (unsigned i = 0; i < BLOCK; i++) {
        inner[i] ^= 0x36;
        outer[i] ^= 0x5c;
    }
    memcpy(inner + BLOCK, data, len);
    EVP_Digest(inner, BLOCK + len, outer + BLOCK, &n, md, NULL);
    EVP_Digest(outer, BLOCK + n, out, out_len, md, NULL);
    return out;
}
