package operate

import (
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// dial connects when the connection is first used. The engine's own tracing is not wrapped around the calls: nothing
// in this process collects traces, and it costs a tenth of a short run.
func dial(address string, more ...grpc.DialOption) (*grpc.ClientConn, error) {
	options := append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()), rpcutil.GrpcChannelOptions(),
	}, more...)
	return grpc.NewClient(address, options...)
}
