"""boto3 as the judge, set up so that it neither renames keys nor helps along. Credentials come from the environment (AWS_…)."""
import boto3
from botocore.config import Config


def s3_client(endpoint, attempts=4):
    return boto3.client("s3", endpoint_url=endpoint, config=Config(
        s3={"addressing_style": "path"}, retries={"total_max_attempts": attempts}, max_pool_connections=32, parameter_validation=False,
        request_checksum_calculation="when_required", response_checksum_validation="when_required"))


def list_all(client, bucket, prefix=""):
    """Every object, page by page; boto3 decodes encoding-type=url by itself."""
    token = {}
    while True:
        page = client.list_objects_v2(Bucket=bucket, Prefix=prefix, **token)
        yield from page.get("Contents", [])
        if not page.get("IsTruncated"):
            return
        token = {"ContinuationToken": page["NextContinuationToken"]}
