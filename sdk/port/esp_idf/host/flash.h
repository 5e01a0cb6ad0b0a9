/* A flash chip for ESP-IDF's nvs_flash: the two partitions of examples/esp32 in memory, with a
 * power supply that can be cut. */
#ifndef HOST_FLASH_H
#define HOST_FLASH_H

#include <stdbool.h>
#include <stddef.h>

/* All erased. */
void flash_new(void);
/* Power goes at the n-th word written or sector erased from now (1: the first); 0: never. Nothing
 * happens to the flash from then on, until flash_power_on. The word or sector in question is left
 * half done, as `torn` says. */
void flash_cut_at(size_t n, bool torn);
void flash_power_on(void);
/* True when the power went. */
bool flash_was_cut(void);
/* Words and sectors written since flash_power_on. */
size_t flash_writes(void);

#endif
