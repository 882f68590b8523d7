# lathe_room(<wing/name> DEPS <rooms…> LIBS <libs…> TESTS <rooms…>): one static library lathe_<name> from the sources in
# src/<wing/name>, and one test program lathe_<name>_test from the *_test.cpp beside them, which may need more rooms.

add_library(lathe_flags INTERFACE)
# GCC 12 misreads std::string's own code once it is optimised (its bugs 105329 and 105651): those three warnings are left out.
target_compile_options(lathe_flags INTERFACE -Wall -Wextra -Wconversion -Wshadow -Werror
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict -Wno-stringop-overflow -Wno-array-bounds>)
# No product and sum become one operation behind the code's back: on ARM that would change bits.
target_compile_options(lathe_flags INTERFACE -ffp-contract=off)
target_include_directories(lathe_flags INTERFACE ${PROJECT_SOURCE_DIR}/src)
target_link_libraries(lathe_flags INTERFACE Threads::Threads)
if(LATHE_SANITIZE)
  target_compile_options(lathe_flags INTERFACE -fsanitize=${LATHE_SANITIZE} -fno-omit-frame-pointer
    -fno-sanitize-recover=undefined)
  target_link_options(lathe_flags INTERFACE -fsanitize=${LATHE_SANITIZE})
endif()
# For every program: the sanitizers' options, where there are sanitizers.
add_library(lathe_sanitizers INTERFACE)
if(LATHE_SANITIZE)
  target_sources(lathe_sanitizers INTERFACE ${PROJECT_SOURCE_DIR}/tests/testing/sanitizers.cpp)
endif()
# What they write when they find something. Makes a test fail although the program that found it was expected to fail.
set(LATHE_SANITIZER_FINDING "Sanitizer:|runtime error:")

# The headers that nearly every file pulls in, compiled once: a build on two cores takes half as long.
if(NOT EXISTS ${PROJECT_BINARY_DIR}/pch.cpp)  # written again, it would build everything anew
  file(WRITE ${PROJECT_BINARY_DIR}/pch.cpp "")
endif()
set(LATHE_PCH_HEADERS <algorithm> <chrono> <expected> <functional> <map> <memory> <optional> <span> <string> <string_view>
  <vector> <fmt/format.h> "${PROJECT_SOURCE_DIR}/src/ground/base/json_library.h")
add_library(lathe_pch OBJECT ${PROJECT_BINARY_DIR}/pch.cpp)
target_link_libraries(lathe_pch PUBLIC lathe_flags lathe_lib_fmt lathe_lib_json)
target_precompile_headers(lathe_pch PRIVATE ${LATHE_PCH_HEADERS})

# Rooms that compute little, and tests, are optimised little: they compile in two thirds of the time. A sanitizer's build stays as
# it is. GCC from 13 on takes no precompiled header of another level.
add_library(lathe_light_flags INTERFACE)
target_link_libraries(lathe_light_flags INTERFACE lathe_flags)
target_compile_options(lathe_light_flags INTERFACE
  $<$<AND:$<CONFIG:Release>,$<NOT:$<AND:$<CXX_COMPILER_ID:GNU>,$<VERSION_GREATER_EQUAL:$<CXX_COMPILER_VERSION>,13>>>>:-O1>)
set(LATHE_ROOMS_THAT_COMPUTE "^(ground|infer)/|^loop/(senses|mini)$|^serve/pool$|^app/bench$")

# Several files of a room are one translation unit: what they share is compiled once, and a build takes a third of the time. Names
# in anonymous namespaces are therefore unique in their room. Not where every file is one extension of the house, with the same
# names as its neighbours, and not in the rooms whose files differ by their flags.
set(LATHE_ROOMS_APART "^loop/(judges|makers)$|^infer/(kernels|quant|encoders|answers)$")
function(lathe_unite target room)
  if(LATHE_UNITY AND NOT room MATCHES "${LATHE_ROOMS_APART}")
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 8)
    target_compile_options(${target} PRIVATE -Wno-subobject-linkage)  # takes every .cpp that is included for a header
  endif()
endfunction()

# The tests' own: GoogleTest is half of what a test costs to compile.
if(LATHE_TESTS)
  add_library(lathe_test_pch OBJECT ${PROJECT_BINARY_DIR}/pch.cpp)
  target_link_libraries(lathe_test_pch PUBLIC lathe_light_flags lathe_lib_fmt lathe_lib_json GTest::gtest GTest::gmock)
  target_compile_definitions(lathe_test_pch PUBLIC LATHE_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  target_precompile_headers(lathe_test_pch PRIVATE ${LATHE_PCH_HEADERS} <gmock/gmock.h> <gtest/gtest.h>)
endif()

# The command line's: CLI11 is most of what its files cost to compile.
add_library(lathe_cli_pch OBJECT ${PROJECT_BINARY_DIR}/pch.cpp)
target_link_libraries(lathe_cli_pch PUBLIC lathe_light_flags lathe_lib_fmt lathe_lib_json lathe_lib_cli11)
target_precompile_headers(lathe_cli_pch PRIVATE ${LATHE_PCH_HEADERS} <CLI/CLI.hpp>)

# Tests sync their journals after every record: in memory that costs nothing.
set(LATHE_TEST_TMP /tmp)
if(IS_DIRECTORY /dev/shm)
  set(LATHE_TEST_TMP /dev/shm)
endif()

function(lathe_room room)
  cmake_parse_arguments(ARG "" "" "DEPS;LIBS;TESTS" ${ARGN})
  get_filename_component(name ${room} NAME)
  set(dir ${PROJECT_SOURCE_DIR}/src/${room})
  file(GLOB sources CONFIGURE_DEPENDS ${dir}/*.cpp)
  lathe_device_sources(${room} sources)
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "_test\\.cpp$")
  list(FILTER tests INCLUDE REGEX "_test\\.cpp$")
  list(REMOVE_ITEM sources ${dir}/main.cpp)
  lathe_isa_sources(${room} sources)

  list(TRANSFORM ARG_DEPS PREPEND lathe_)
  list(TRANSFORM ARG_LIBS PREPEND lathe_lib_)
  list(TRANSFORM ARG_TESTS PREPEND lathe_)
  add_library(lathe_${name} STATIC ${sources})
  target_link_libraries(lathe_${name} PUBLIC lathe_flags ${ARG_DEPS} ${ARG_LIBS})
  if(name STREQUAL cli)
    target_precompile_headers(lathe_${name} REUSE_FROM lathe_cli_pch)
  else()
    target_precompile_headers(lathe_${name} REUSE_FROM lathe_pch)
  endif()
  lathe_unite(lathe_${name} ${room})
  if(NOT room MATCHES "${LATHE_ROOMS_THAT_COMPUTE}")
    target_link_libraries(lathe_${name} PRIVATE lathe_light_flags)
  endif()

  if(LATHE_TESTS AND tests)
    lathe_test(lathe_${name}_test SOURCES ${tests} DEPS lathe_${name} ${ARG_TESTS})
    lathe_unite(lathe_${name}_test ${room})
    if(name STREQUAL judges)
      target_link_libraries(lathe_judges_test PRIVATE lathe_picture_set)
    elseif(name MATCHES "^(server|account|reading|speech)$")
      target_link_libraries(lathe_${name}_test PRIVATE lathe_scripted)
    endif()
  endif()
endfunction()

# lathe_test(<target> SOURCES <files…> DEPS <targets…> [TOGETHER <filter>]): a GoogleTest program, each of its cases a CTest test;
# those that fit the filter are one, which starts once what they share.
function(lathe_test target)
  cmake_parse_arguments(ARG "" "TOGETHER" "SOURCES;DEPS" ${ARGN})
  add_executable(${target} ${ARG_SOURCES})
  target_precompile_headers(${target} REUSE_FROM lathe_test_pch)
  target_link_libraries(${target} PRIVATE lathe_light_flags ${ARG_DEPS} lathe_testing lathe_sanitizers GTest::gtest
    GTest::gmock)
  target_compile_definitions(${target} PRIVATE LATHE_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  set(properties TIMEOUT 900 ENVIRONMENT "TMPDIR=${LATHE_TEST_TMP}" FAIL_REGULAR_EXPRESSION "${LATHE_SANITIZER_FINDING}")
  if(ARG_TOGETHER)
    gtest_discover_tests(${target} DISCOVERY_MODE PRE_TEST TEST_FILTER "-${ARG_TOGETHER}" PROPERTIES ${properties})
    add_test(NAME ${target}.together COMMAND ${target} "--gtest_filter=${ARG_TOGETHER}")
    set_tests_properties(${target}.together PROPERTIES ${properties})
  else()
    gtest_discover_tests(${target} DISCOVERY_MODE PRE_TEST PROPERTIES ${properties})
  endif()
endfunction()
