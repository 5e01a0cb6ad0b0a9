/* For tests: what an older release would find in its database. */
#ifndef STORE_OLDER_SCHEMA_H
#define STORE_OLDER_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>

/* Takes from the database whatever the schema's steps behind `version` have added to it. Steps that
 * changed what was there (those up to 8 did) cannot be taken back. False with err. */
bool older_schema(const char *path, int version, char *err, size_t cap);

#endif
