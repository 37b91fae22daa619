# For those who have Docker; `make images` builds the same images without it.
#   docker build --target bff-operator -t bff-operator .
#   docker build --target bff-sidecar  -t bff-sidecar .
ARG GO_VERSION=1.26

FROM --platform=$BUILDPLATFORM golang:${GO_VERSION} AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETOS TARGETARCH VERSION=dev
ENV CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH
RUN go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /out/bff-operator . \
 && go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /out/bff-sidecar ./sidecar

FROM scratch AS bff-operator
COPY --from=build /out/bff-operator /bff-operator
USER 65532:65532
ENTRYPOINT ["/bff-operator"]

FROM scratch AS bff-sidecar
COPY --from=build /out/bff-sidecar /bff-sidecar
USER 65532:65532
ENTRYPOINT ["/bff-sidecar"]
