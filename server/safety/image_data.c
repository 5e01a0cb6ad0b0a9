/* The image, as it was written when the program was built: as a C array it would cost the compiler
 * seconds. */
#include "safety/internal.h"

__asm__(".pushsection .rodata\n"
        ".balign 64\n"
        ".globl safety_image_begin\n"
        ".hidden safety_image_begin\n"
        "safety_image_begin:\n"
        ".incbin \"" SAFETY_IMAGE "\"\n"
        ".globl safety_image_end\n"
        ".hidden safety_image_end\n"
        "safety_image_end:\n"
        ".popsection\n");

__attribute__((visibility("hidden"))) extern const char safety_image_begin[], safety_image_end[];

struct span safety_image(void)
{
    return (struct span){safety_image_begin, (size_t)(safety_image_end - safety_image_begin)};
}
