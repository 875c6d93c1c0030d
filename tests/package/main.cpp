#include <octet/octet.h>

#include <cstdio>

int main(int argc, char** argv) {
  if (argc != 4) return 1;  // MODEL DATA OUT
  octet::QuantizeRequest request;
  request.model = argv[1], request.data.path = argv[2], request.output = argv[3];
  request.data.samples = 64;
  const auto summary = octet::quantize(request);
  if (!summary) return std::fprintf(stderr, "%s\n", summary.error().message.c_str()), 2;
  std::printf("octet %s: %llu -> %llu bytes\n", octet::version().data(),
              static_cast<unsigned long long>(summary->input_bytes),
              static_cast<unsigned long long>(summary->output_bytes));
}
