# Installs the program, the library with its public headers, and the CMake package octet::octet.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# One shared library out of the module libraries. Users see include/octet only; the symbols of the
# generated protobuf code stay inside, since a program may hold another copy of them (libonnx).
get_property(modules GLOBAL PROPERTY OCTET_MODULES)
set(objects "$<TARGET_OBJECTS:octet_onnx_proto>")
foreach(module IN LISTS modules)
  list(APPEND objects "$<TARGET_OBJECTS:${module}>")
endforeach()
add_library(octet_library SHARED ${objects})
add_library(octet::octet ALIAS octet_library)
set_target_properties(octet_library PROPERTIES
  OUTPUT_NAME octet
  EXPORT_NAME octet
  LINKER_LANGUAGE CXX
  VERSION ${PROJECT_VERSION}
  SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
target_include_directories(octet_library INTERFACE
  $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_compile_features(octet_library INTERFACE cxx_std_20)
target_link_libraries(octet_library
  PUBLIC tl::expected
  PRIVATE fmt::fmt nlohmann_json::nlohmann_json ZLIB::ZLIB
          libjpeg-turbo::turbojpeg protobuf::libprotobuf-lite DNNL::dnnl OpenMP::OpenMP_CXX)
set(exports ${CMAKE_CURRENT_LIST_DIR}/octet.map)
target_link_options(octet_library PRIVATE "LINKER:--version-script=${exports}" LINKER:-z,defs)
set_property(TARGET octet_library APPEND PROPERTY LINK_DEPENDS ${exports})

install(TARGETS octet_library EXPORT octetTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(TARGET octet_cli)
  install(TARGETS octet_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
install(DIRECTORY ${CMAKE_SOURCE_DIR}/include/octet DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  FILES_MATCHING PATTERN "*.h")

set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/octet)
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/octetConfig.cmake.in
  ${CMAKE_BINARY_DIR}/octetConfig.cmake INSTALL_DESTINATION ${package_folder})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/octetConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(EXPORT octetTargets NAMESPACE octet:: DESTINATION ${package_folder})
install(FILES ${CMAKE_BINARY_DIR}/octetConfig.cmake ${CMAKE_BINARY_DIR}/octetConfigVersion.cmake
  DESTINATION ${package_folder})
