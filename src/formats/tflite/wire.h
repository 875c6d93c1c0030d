#pragma once
// The types that flatc made of tflite.fbs, private to this folder.

#include <tflite_generated.h>

namespace octet::tflite {

namespace wire = ::tflite;

}  // namespace octet::tflite
