"""The producer that was there before us, and who looks at what came of it: boto3 alone, nothing of brigade.

seed S3_ENDPOINT            buckets media, media-copy and other; objects of docs/ and a large one; one that is at the destination already
send SQS_ENDPOINT QUEUE     one message for each line of stdin
same S3_ENDPOINT            what stands at the destination and is not what the source has; prints JSON
"""
import hashlib
import json
import sys

import boto3
from botocore.config import Config


def s3(endpoint):
    return boto3.client('s3', endpoint_url=endpoint, config=Config(s3={'addressing_style': 'path'}))


def body(number):
    return hashlib.sha256(str(number).encode()).digest() * (32 + number)


def seed(endpoint):
    client = s3(endpoint)
    for bucket in ('media', 'media-copy', 'other'):
        client.create_bucket(Bucket=bucket)
    for number in range(58):
        client.put_object(Bucket='media', Key='docs/%03d' % number, Body=body(number), ContentType='text/x-%d' % number, Metadata={'number': str(number)})
    client.put_object(Bucket='media', Key='docs/large', Body=body(1000) * 400)
    client.put_object(Bucket='media-copy', Key='docs/000', Body=body(0), ContentType='text/x-0', Metadata={'number': '0'})


def send(endpoint, name):
    client = boto3.client('sqs', endpoint_url=endpoint)
    url = client.get_queue_url(QueueName=name)['QueueUrl']
    for line in sys.stdin.read().splitlines():
        client.send_message(QueueUrl=url, MessageBody=line)


def objects(client, bucket):
    found = {}
    for page in client.get_paginator('list_objects_v2').paginate(Bucket=bucket):
        for entry in page.get('Contents', []):
            answer = client.get_object(Bucket=bucket, Key=entry['Key'])
            found[entry['Key']] = [hashlib.sha256(answer['Body'].read()).hexdigest(), answer['ContentType'], answer['Metadata']]
    return found


def same(endpoint):
    client = s3(endpoint)
    source, destination = objects(client, 'media'), objects(client, 'media-copy')
    uploads = client.list_multipart_uploads(Bucket='media-copy').get('Uploads', [])
    print(json.dumps({
        'missing': sorted(set(source) - set(destination)), 'beyond': sorted(set(destination) - set(source)), 'other': sorted(objects(client, 'other')),
        'differ': sorted(key for key in set(source) & set(destination) if source[key] != destination[key]), 'uploads': len(uploads), 'objects': len(destination),
    }))


{'seed': seed, 'send': send, 'same': same}[sys.argv[1]](*sys.argv[2:])
