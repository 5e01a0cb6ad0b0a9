# cmake -DOUT=file.c -P no_console.cmake: a program without the web console.
file(WRITE "${OUT}" "#include \"console/console.h\"\n\nconst struct console_file console_files[] = {{NULL, NULL, NULL, NULL, NULL, 0, 0}};\n")
