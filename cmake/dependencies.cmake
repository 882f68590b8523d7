# Third-party libraries under the short names that src/rooms.txt uses: lathe_lib_<name>.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

function(lathe_lib name)
  add_library(lathe_lib_${name} INTERFACE)
  target_link_libraries(lathe_lib_${name} INTERFACE ${ARGN})
endfunction()

function(lathe_pkg name)
  pkg_check_modules(${name} REQUIRED IMPORTED_TARGET ${ARGN})
  lathe_lib(${name} PkgConfig::${name})
endfunction()

find_package(fmt REQUIRED)
lathe_lib(fmt fmt::fmt)
find_package(nlohmann_json 3.11 REQUIRED)
lathe_lib(json nlohmann_json::nlohmann_json)
find_package(tomlplusplus REQUIRED)
lathe_lib(toml tomlplusplus::tomlplusplus)
find_package(CLI11 REQUIRED)
lathe_lib(cli11 CLI11::CLI11)
lathe_pkg(edit libedit)
lathe_pkg(crypto libcrypto)
lathe_pkg(seccomp libseccomp)
lathe_pkg(sqlite sqlite3)
lathe_pkg(curl libcurl)
# Asio and Beast, headers only. 1.81 has no CMake package of its own in Debian's layout.
find_path(LATHE_BOOST_BEAST boost/beast/http.hpp REQUIRED)
lathe_lib(boost)
target_include_directories(lathe_lib_boost SYSTEM INTERFACE ${LATHE_BOOST_BEAST})
# Asio's fences stand beside its locks; ThreadSanitizer does not know fences.
if(LATHE_SANITIZE MATCHES thread)
  target_compile_definitions(lathe_lib_boost INTERFACE BOOST_ASIO_DISABLE_FENCED_BLOCK)
endif()
lathe_pkg(pcre2 libpcre2-8)
lathe_pkg(pugixml pugixml)
lathe_pkg(pocketsphinx pocketsphinx sphinxbase)
lathe_pkg(sndfile sndfile)
lathe_pkg(samplerate samplerate)
lathe_pkg(ebur128 libebur128)
# flite ships no pkg-config file; a voice comes before the language parts it needs.
lathe_lib(flite flite_cmu_us_rms flite_cmu_us_slt flite_cmu_us_awb flite_cmu_us_kal16
  flite_usenglish flite_cmulex flite m)
