/* Scores node features with an exported model through TensorFlow's C++ loader: no Python in the process.
 *
 *     score_nodes MODEL_VERSION_FOLDER NODES.f32 B T G C SCORES.f32
 *
 * NODES.f32 holds B*T*G*C little-endian float32 (the input `nodes` of the signature `score_nodes`); SCORES.f32 receives
 * the B*T float32 of its output `anomaly_score`, which are also printed, one video a line. Exit code 0, or 1 with a
 * message on stderr. Build: see test_c_loader.py.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensorflow/c/c_api.h"

static void fail(const char *what, const char *why) {
  fprintf(stderr, "error: %s: %s\n", what, why);
  exit(1);
}

static void check(TF_Status *status, const char *what) {
  if (TF_GetCode(status) != TF_OK) fail(what, TF_Message(status));
}

/* ---- The few protobuf rules needed to look a signature up in the MetaGraphDef that the loader hands out. ---- */

typedef struct {
  const uint8_t *at;
  const uint8_t *end;
} Bytes;

static uint64_t varint(Bytes *in) {
  uint64_t value = 0;
  for (int shift = 0; in->at < in->end && shift < 64; shift += 7) {
    uint8_t byte = *in->at++;
    value |= (uint64_t)(byte & 0x7f) << shift;
    if (!(byte & 0x80)) return value;
  }
  fail("MetaGraphDef", "broken varint");
  return 0;
}

/* Moves past one field; gives its number, and its content when it is length-delimited (a message or a string). */
static int next_field(Bytes *in, Bytes *content) {
  uint64_t key = varint(in);
  uint64_t size = 0;
  content->at = content->end = NULL;
  switch (key & 7) {
    case 0: varint(in); break;
    case 1: size = 8; break;
    case 2: size = varint(in); break;
    case 5: size = 4; break;
    default: fail("MetaGraphDef", "unknown wire type");
  }
  if (size > (uint64_t)(in->end - in->at)) fail("MetaGraphDef", "cut short");
  if ((key & 7) == 2) *content = (Bytes){in->at, in->at + size};
  in->at += size;
  return (int)(key >> 3);
}

static int equals(Bytes text, const char *name) {
  return (size_t)(text.end - text.at) == strlen(name) && memcmp(text.at, name, strlen(name)) == 0;
}

/* The value of `name` in the map<string, message> that is field `number` of `message`. */
static Bytes map_value(Bytes message, int number, const char *name) {
  Bytes entry, part;
  while (message.at < message.end) {
    if (next_field(&message, &entry) != number) continue;
    Bytes key = {NULL, NULL}, value = {NULL, NULL};
    while (entry.at < entry.end) {
      int field = next_field(&entry, &part);
      if (field == 1) key = part;
      if (field == 2) value = part;
    }
    if (key.at && equals(key, name)) return value;
  }
  fail("the model has no", name);
  return message;
}

enum { kSignatures = 5, kInputs = 1, kOutputs = 2, kTensorName = 1 };

/* "StatefulPartitionedCall_3:0" of a TensorInfo as operation and index. */
static TF_Output graph_tensor(TF_Graph *graph, Bytes tensor_info) {
  Bytes name = {NULL, NULL}, part;
  while (tensor_info.at < tensor_info.end) {
    if (next_field(&tensor_info, &part) == kTensorName) name = part;
  }
  char text[512];
  size_t size = (size_t)(name.end - name.at);
  if (!name.at || size >= sizeof text) fail("TensorInfo", "no usable tensor name");
  memcpy(text, name.at, size);
  text[size] = 0;
  char *colon = strrchr(text, ':');
  int index = colon ? atoi(colon + 1) : 0;
  if (colon) *colon = 0;
  TF_Output output = {TF_GraphOperationByName(graph, text), index};
  if (!output.oper) fail("the graph has no operation", text);
  return output;
}

/* ------------------------------------------------------------------------------------------------------------ */

static TF_Tensor *read_nodes(const char *path, const int64_t *shape) {
  size_t bytes = (size_t)(shape[0] * shape[1] * shape[2] * shape[3]) * sizeof(float);
  TF_Tensor *tensor = TF_AllocateTensor(TF_FLOAT, shape, 4, bytes);
  FILE *file = fopen(path, "rb");
  if (!file) fail(path, "cannot be opened");
  if (fread(TF_TensorData(tensor), 1, bytes, file) != bytes || fgetc(file) != EOF) {
    fail(path, "does not hold B*T*G*C float32");
  }
  fclose(file);
  return tensor;
}

static void write_scores(const char *path, TF_Tensor *scores, int64_t videos, int64_t frames) {
  if (TF_NumDims(scores) != 2 || TF_Dim(scores, 0) != videos || TF_Dim(scores, 1) != frames) {
    fail("anomaly_score", "is not of shape (B, T)");
  }
  const float *values = TF_TensorData(scores);
  FILE *file = fopen(path, "wb");
  if (!file || fwrite(values, sizeof(float), (size_t)(videos * frames), file) != (size_t)(videos * frames)) {
    fail(path, "cannot be written");
  }
  fclose(file);
  for (int64_t video = 0; video < videos; ++video) {
    for (int64_t frame = 0; frame < frames; ++frame) printf("%.6f ", values[video * frames + frame]);
    printf("\n");
  }
}

int main(int argc, char **argv) {
  if (argc != 8) fail("usage", "score_nodes MODEL_VERSION_FOLDER NODES.f32 B T G C SCORES.f32");
  const int64_t shape[4] = {atoll(argv[3]), atoll(argv[4]), atoll(argv[5]), atoll(argv[6])};

  TF_Status *status = TF_NewStatus();
  TF_Graph *graph = TF_NewGraph();
  TF_SessionOptions *options = TF_NewSessionOptions();
  TF_Buffer *meta_graph = TF_NewBuffer();
  const char *tags[] = {"serve"};
  TF_Session *session = TF_LoadSessionFromSavedModel(options, NULL, argv[1], tags, 1, graph, meta_graph, status);
  check(status, argv[1]);

  const uint8_t *start = meta_graph->data;
  Bytes signature = map_value((Bytes){start, start + meta_graph->length}, kSignatures, "score_nodes");
  TF_Output input = graph_tensor(graph, map_value(signature, kInputs, "nodes"));
  TF_Output output = graph_tensor(graph, map_value(signature, kOutputs, "anomaly_score"));

  TF_Tensor *nodes = read_nodes(argv[2], shape);
  TF_Tensor *scores = NULL;
  TF_SessionRun(session, NULL, &input, &nodes, 1, &output, &scores, 1, NULL, 0, NULL, status);
  check(status, "score_nodes");
  write_scores(argv[7], scores, shape[0], shape[1]);

  TF_DeleteTensor(scores);
  TF_DeleteTensor(nodes);
  TF_CloseSession(session, status);
  TF_DeleteSession(session, status);
  TF_DeleteBuffer(meta_graph);
  TF_DeleteSessionOptions(options);
  TF_DeleteGraph(graph);
  TF_DeleteStatus(status);
  return 0;
}
