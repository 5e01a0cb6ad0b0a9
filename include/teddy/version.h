#ifndef TEDDY_VERSION_H
#define TEDDY_VERSION_H

#define TEDDY_SDK_VERSION "0.1.0"

#endif
