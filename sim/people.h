/* Who the toys are: their ids and secrets, from a seed or from a registry's CSV. */
#ifndef SIM_PEOPLE_H
#define SIM_PEOPLE_H

#include "proto/limits.h"
#include "sim/args.h"

struct person {
    char id[LIMIT_ID_LEN + 1];
    uint8_t secret[LIMIT_SECRET_LEN];
};

/* The toy of that index (from 0) as the seed makes it: secret to those alone who do not know the
 * seed, thus for simulation alone. False when the hash failed. */
bool person_make(const struct sim_args *args, uint32_t index, struct person *out);

/* Reads `device_id,oob_secret` a line, the header passed over; exactly count of them go to the
 * caller's array. What is wrong is printed. */
bool people_read(const char *path, struct person *out, uint32_t count);

/* Writes what teddyctl import takes, readable by its owner alone. What is wrong is printed. */
bool people_write(const struct sim_args *args);

#endif
