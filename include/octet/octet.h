#pragma once
// octet: neural-network quantization. Each header is one job; this one includes them all.

#include "octet/convert.h"
#include "octet/data.h"
#include "octet/diagnose.h"
#include "octet/evaluate.h"
#include "octet/files.h"
#include "octet/graph_builder.h"
#include "octet/inspect.h"
#include "octet/payoff.h"
#include "octet/quantize.h"
#include "octet/result.h"
#include "octet/run.h"
#include "octet/runtime.h"
#include "octet/train.h"
#include "octet/tune.h"
