"""AWS Lambda behind an HTTP API: event version 2.0."""

import json


def handler(event, context):
    return {"statusCode": 200, "body": json.dumps({"path": event["rawPath"], "id": context.aws_request_id})}
