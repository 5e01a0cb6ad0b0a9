# cmake -DDIR=directory -DOUT=file.c -DFILES=a.txt;b/c.txt -P embed.cmake: data files as the table safety_builtin.
set(arrays "")
set(rows "")
set(n 0)
foreach(file ${FILES})
  file(READ "${DIR}/${file}" hex HEX)
  string(REGEX REPLACE "(................................)" "\\1\n" hex "${hex}")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(APPEND arrays "static const unsigned char file_${n}[] = {\n${bytes}\n0};\n")
  string(APPEND rows "    {\"${file}\", file_${n}, sizeof file_${n} - 1},\n")
  math(EXPR n "${n} + 1")
endforeach()
file(WRITE "${OUT}" "#include \"safety/internal.h\"\n\n${arrays}
const struct data_file safety_builtin[] = {\n${rows}    {NULL, NULL, 0},\n};\n")
