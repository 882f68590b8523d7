# What the kernels' sources are compiled with, by file name. Every float operation stands in the source as it is to be done, so
# the compiler may not fuse any; a file for an instruction set gets that set, and no precompiled header (compiled for another).
# Loops with a choice in them become vectors only where comparisons need not trap (no value depends on that).
# Kernels are optimised in debug builds too: nothing else could be tested in bearable time.
function(lathe_isa_flags source)
  get_filename_component(name ${source} NAME)
  set(flags -O3 -ffp-contract=off -fno-trapping-math)
  if(LATHE_SANITIZE AND name MATCHES "^avx512")
    # UBSan's checks in unrolled loops take GCC minutes a file. The scalar twin and the packing keep them.
    set(flags -O1 -ffp-contract=off -fno-sanitize=undefined)
  elseif(LATHE_SANITIZE AND name MATCHES "^(avx2|avxvnni|neon)")
    # Vectors made of several registers are objects in memory for ASan: minutes a test. These loops are those of AVX-512.
    list(APPEND flags -fno-sanitize=all)
  elseif(LATHE_SANITIZE)
    set(flags -O1 -ffp-contract=off)
  endif()
  # Nothing here throws, and what unwinding needs would be a symbol that baseline code may pick up.
  if(name MATCHES "^(avx|neon)")
    list(APPEND flags -fno-exceptions)
  endif()
  if(name MATCHES "^(avx2|avxvnni)[.]cpp$")
    list(APPEND flags -mavx2 -mfma -mf16c)
    if(name STREQUAL "avxvnni.cpp")
      list(APPEND flags -mavxvnni)
    endif()
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
      # GCC would move the additions of an unrolled sum behind all its products and spill every product.
      # Neither flag touches float operations: those stand in order.
      list(APPEND flags -fno-tree-reassoc -fno-tree-ter)
    endif()
  elseif(name MATCHES "^avx512")
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
      # GCC 12 takes its own headers for uninitialised (its bug 105593).
      list(APPEND flags -Wno-uninitialized -Wno-maybe-uninitialized)
    endif()
    list(APPEND flags -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mfma -mf16c -mprefer-vector-width=512)
    if(name STREQUAL "avx512amx.cpp")
      list(APPEND flags -mamx-tile -mamx-int8)
    endif()
  elseif(name STREQUAL "neon_dotprod.cpp")
    list(APPEND flags -march=armv8.2-a+dotprod)
  elseif(name STREQUAL "neon_i8mm.cpp")
    list(APPEND flags -march=armv8.2-a+dotprod+i8mm)
  endif()
  set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "${flags}" SKIP_PRECOMPILE_HEADERS ON)
endfunction()

# The sources of a room that this processor family cannot compile are taken off the list.
function(lathe_isa_sources room list)
  if(room STREQUAL "infer/kernels")
    set(sources ${${list}})
    if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
      list(FILTER sources EXCLUDE REGEX "/avx[^/]*\\.cpp$")
    endif()
    if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
      list(FILTER sources EXCLUDE REGEX "/neon[^/]*\\.cpp$")
    endif()
    foreach(source IN LISTS sources)
      lathe_isa_flags(${source})
    endforeach()
    set(${list} ${sources} PARENT_SCOPE)
  endif()
endfunction()
