# How every part of Teddy is compiled, and the ways to add a part: teddy_library, teddy_program, teddy_generator, teddy_test
# and teddy_script_test.
include(TestCut)

# Of everything; teddy_flags adds what watches over it.
add_library(teddy_options INTERFACE)
target_include_directories(teddy_options INTERFACE ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/include
                                                 ${CMAKE_SOURCE_DIR}/server)
target_compile_definitions(teddy_options INTERFACE _GNU_SOURCE TEDDY_VERSION="${PROJECT_VERSION}")
target_compile_options(teddy_options INTERFACE
  -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef
  -Wformat=2 -Werror -fstack-protector-strong -fno-strict-aliasing -fno-common -fPIE)
target_link_options(teddy_options INTERFACE -pie -Wl,-z,relro,-z,now,-z,noexecstack)

# The same bytes wherever it is built: no directory of this machine in them, no times in archives.
target_compile_options(teddy_options INTERFACE -ffile-prefix-map=${CMAKE_BINARY_DIR}=build -ffile-prefix-map=${CMAKE_SOURCE_DIR}=.)
set(CMAKE_C_ARCHIVE_CREATE "<CMAKE_AR> qcD <TARGET> <OBJECTS>")
set(CMAKE_C_ARCHIVE_FINISH "<CMAKE_RANLIB> -D <TARGET>")

add_library(teddy_flags INTERFACE)
target_link_libraries(teddy_flags INTERFACE teddy_options)
if(TEDDY_SANITIZE STREQUAL "address")
  set(_san -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
elseif(TEDDY_SANITIZE STREQUAL "thread")
  set(_san -fsanitize=thread -fno-omit-frame-pointer)
elseif(NOT TEDDY_SANITIZE STREQUAL "")
  message(FATAL_ERROR "TEDDY_SANITIZE is '${TEDDY_SANITIZE}': use address, thread or nothing")
else()
  target_compile_definitions(teddy_flags INTERFACE _FORTIFY_SOURCE=2)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64")
    target_compile_options(teddy_flags INTERFACE -fstack-clash-protection -fcf-protection)
  endif()
endif()
if(_san)
  # Half the time to compile of -O2 -g, and a finding still has its lines (what -O1 cannot prove to
  # fit, the plain build proves); binutils' other linker takes half as long.
  target_compile_options(teddy_flags INTERFACE -O1 -g1 $<$<C_COMPILER_ID:GNU>:-Wno-format-truncation> ${_san})
  target_link_options(teddy_flags INTERFACE ${_san})
  if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    find_program(TEDDY_GOLD ld.gold)
    if(TEDDY_GOLD)
      target_link_options(teddy_flags INTERFACE -fuse-ld=gold)
    endif()
  endif()
endif()
if(TEDDY_FUZZ)
  target_compile_options(teddy_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# teddy_library(NAME SOURCES a.c … [DEPS lib …]): a static library of one room. DEPS is the arrow: a room
# that may not know another does not list it.
function(teddy_library name)
  cmake_parse_arguments(A "" "" "SOURCES;DEPS" ${ARGN})
  add_library(${name} STATIC EXCLUDE_FROM_ALL ${A_SOURCES}) # with what needs it
  target_link_libraries(${name} PUBLIC teddy_flags ${A_DEPS})
endfunction()

# teddy_program(NAME SOURCES … DEPS …): an executable, left in the top of the build directory.
function(teddy_program name)
  cmake_parse_arguments(A "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${A_SOURCES})
  target_link_libraries(${name} PRIVATE teddy_flags ${A_DEPS})
  if(name IN_LIST TEDDY_PROGRAMS_NOT_UNDER_${TEDDY_SANITIZE})
    set_target_properties(${name} PROPERTIES EXCLUDE_FROM_ALL ON)
  endif()
endfunction()

# teddy_generator(NAME SOURCES … [DEPS …]): a program that only the build runs, out of sources that have to be compiled for
# it alone: without a sanitizer, as one may refuse to run where the build does. It runs once, so it is quickly compiled.
function(teddy_generator name)
  cmake_parse_arguments(A "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} EXCLUDE_FROM_ALL ${A_SOURCES})
  target_link_libraries(${name} PRIVATE teddy_options ${A_DEPS})
  target_compile_options(${name} PRIVATE -O1 -g0)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR})
endfunction()

# teddy_test(NAME SOURCES x_test.c … [DEPS lib …]): a cmocka program that CTest runs.
function(teddy_test name)
  cmake_parse_arguments(A "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${A_SOURCES})
  target_link_libraries(${name} PRIVATE teddy_flags ${A_DEPS} cmocka)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT 900)
  teddy_schedule(${name})
endfunction()

# teddy_script_test(NAME FILE [ARGUMENT …]): a test in Python. TEST_SANITIZE tells it to take fewer rounds.
function(teddy_script_test name)
  add_test(NAME ${name} COMMAND /usr/bin/python3 ${ARGN})
  set_tests_properties(${name} PROPERTIES TIMEOUT 900 ENVIRONMENT
    "TEST_BUILD=${CMAKE_BINARY_DIR};TEST_SOURCE=${CMAKE_SOURCE_DIR};TEST_SANITIZE=${TEDDY_SANITIZE};PYTHONDONTWRITEBYTECODE=1")
  teddy_schedule(${name})
endfunction()
