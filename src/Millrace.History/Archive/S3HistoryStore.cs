using System.Collections.Concurrent;
using System.Net;
using Amazon.Runtime;
using Amazon.S3;
using Amazon.S3.Model;
using Amazon.S3.Transfer;
using Millrace.Parquet;

namespace Millrace.History.Archive;

/// <summary>Where an S3-compatible store is and how it is spoken to.</summary>
public sealed record S3HistoryOptions
{
    /// <summary>Address of the server; empty for Amazon's own by region.</summary>
    public string Endpoint { get; init; } = "";

    public string Region { get; init; } = "us-east-1";

    public required string Bucket { get; init; }

    /// <summary>What every object's name begins with. One server's history alone lies there.</summary>
    public string Prefix { get; init; } = "history/";

    /// <summary>Empty: the environment's or the machine's credentials.</summary>
    public string AccessKey { get; init; } = "";

    public string SecretKey { get; init; } = "";

    /// <summary>For servers that know neither chunked signatures nor checksums in requests.</summary>
    public bool IsSimple { get; init; }

    /// <summary>Uploads larger than this go in parts of this size (5 MB at least, by the protocol).</summary>
    public long PartBytes { get; init; } = 16 << 20;

    /// <summary>A request that takes longer has failed.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(30);
}

/// <summary>
/// The history in an S3-compatible store. A data file is written locally, uploaded under its own name and checked by its length before
/// the commit that names it; until a manifest does, it is nobody's. So a reader from outside goes by the manifests' lists.
/// </summary>
/// <remarks>The seam is synchronous, as reading files is; the client is not, so requests are waited for, on threads of their callers.</remarks>
public sealed class S3HistoryStore : IHistoryStore, IDisposable
{
    /// <summary>Marks are asked for at each read of a day; a change made by another process shows after so long.</summary>
    private static readonly TimeSpan MarkLasts = TimeSpan.FromSeconds(5);

    private readonly S3HistoryOptions _options;
    private readonly string _staging;
    private readonly AmazonS3Client _client;
    private readonly ConcurrentDictionary<string, (string? Mark, long Until)> _marks = new(StringComparer.Ordinal);

    /// <param name="options">The store.</param>
    /// <param name="staging">A local folder for files on their way.</param>
    public S3HistoryStore(S3HistoryOptions options, string staging)
    {
        ArgumentNullException.ThrowIfNull(options);
        (_options, _staging) = (options, staging);
        var config = new AmazonS3Config
        {
            ForcePathStyle = options.Endpoint.Length > 0,
            AuthenticationRegion = options.Region,
            Timeout = options.Timeout,
            MaxErrorRetry = 2,
        };
        if (options.Endpoint.Length > 0)
            config.ServiceURL = options.Endpoint;
        else
            config.RegionEndpoint = Amazon.RegionEndpoint.GetBySystemName(options.Region);
        if (options.IsSimple)
            (config.RequestChecksumCalculation, config.ResponseChecksumValidation) = (RequestChecksumCalculation.WHEN_REQUIRED, ResponseChecksumValidation.WHEN_REQUIRED);
        _client = options.AccessKey.Length > 0
            ? new AmazonS3Client(new BasicAWSCredentials(options.AccessKey, options.SecretKey), config)
            : new AmazonS3Client(config);
    }

    public string Name => $"s3://{_options.Bucket}/{_options.Prefix.TrimEnd('/')}";

    public IReadOnlyList<string> Folders(string folder)
    {
        var prefix = KeyOf(folder.Length == 0 ? "" : folder + "/");
        var names = new List<string>();
        foreach (var page in List(prefix, "/"))
            names.AddRange((page.CommonPrefixes ?? []).Select(common => common[prefix.Length..].TrimEnd('/')));
        return [.. names.Order(StringComparer.Ordinal)];
    }

    public byte[]? Read(string name) => Ask($"reading {name}", async () =>
    {
        try
        {
            using var answer = await _client.GetObjectAsync(_options.Bucket, KeyOf(name)).ConfigureAwait(false);
            using var bytes = new MemoryStream();
            await answer.ResponseStream.CopyToAsync(bytes).ConfigureAwait(false);
            return bytes.ToArray();
        }
        catch (AmazonS3Exception fault) when (fault.StatusCode == HttpStatusCode.NotFound)
        {
            return null;
        }
    });

    public IReadOnlyList<string> DataFiles(string folder) =>
        [.. Names(folder + "/").Where(name => name.EndsWith(".parquet", StringComparison.Ordinal)).Select(name => name[(folder.Length + 1)..])];

    public string? MarkOf(string name)
    {
        if (_marks.TryGetValue(name, out var known) && known.Until > Environment.TickCount64)
            return known.Mark;

        var mark = HeadOf(name)?.ETag;
        _marks[name] = (mark, Environment.TickCount64 + (long)MarkLasts.TotalMilliseconds);
        return mark;
    }

    public ParquetSource Open(string name)
    {
        var head = HeadOf(name) ?? throw new FileNotFoundException($"{Name}/{name} is not there.", name);
        return new ObjectSource(this, name, head.ContentLength);
    }

    public void Replace(string name, ReadOnlySpan<byte> content)
    {
        var bytes = content.ToArray();
        _marks.TryRemove(name, out _);
        Ask($"writing {name}", async () =>
        {
            using var stream = new MemoryStream(bytes);
            return await _client.PutObjectAsync(new PutObjectRequest
            {
                BucketName = _options.Bucket,
                Key = KeyOf(name),
                InputStream = stream,
                AutoCloseStream = false,
                UseChunkEncoding = !_options.IsSimple,
            }).ConfigureAwait(false);
        });
        _marks.TryRemove(name, out _);
    }

    public string NewFile(string name)
    {
        Directory.CreateDirectory(_staging);
        return Path.Combine(_staging, name.Replace('/', '_'));
    }

    public void Stage(string name)
    {
        var path = NewFile(name);
        var length = new FileInfo(path).Length;
        if (_options.IsSimple)
            Ask($"uploading {name}", () => PutFileAsync(path, name));
        else
            Ask($"uploading {name}", () => UploadFileAsync(path, name));
        if (HeadOf(name)?.ContentLength is var stored && stored != length)
            throw new IOException($"{Name}/{name} holds {stored?.ToString(System.Globalization.CultureInfo.InvariantCulture) ?? "no"} bytes of the {length} that were sent; for simple servers set History:S3:Simple=true.");
        File.Delete(path);
    }

    private async Task<bool> UploadFileAsync(string path, string name)
    {
        // In parts where it is large; parts of an upload that fails are taken back.
        using var transfer = new TransferUtility(_client, new TransferUtilityConfig { MinSizeBeforePartUpload = _options.PartBytes, ConcurrentServiceRequests = 1 });
        await transfer.UploadAsync(new TransferUtilityUploadRequest
        {
            BucketName = _options.Bucket,
            Key = KeyOf(name),
            FilePath = path,
            PartSize = _options.PartBytes,
            DisablePayloadSigning = false,
        }).ConfigureAwait(false);
        return true;
    }

    /// <summary>Simple servers keep the framing of chunked uploads and of parts inside the object: one request, the bytes as they are.</summary>
    private async Task<bool> PutFileAsync(string path, string name)
    {
        await _client.PutObjectAsync(new PutObjectRequest
        {
            BucketName = _options.Bucket,
            Key = KeyOf(name),
            FilePath = path,
            UseChunkEncoding = false,
        }).ConfigureAwait(false);
        return true;
    }

    public void Publish(string name)
    {
        // It has its name already; the manifest makes it a file of the history.
    }

    public void Retire(IReadOnlyList<string> names)
    {
        // There is no renaming: between the manifests' lists and the deletion an outside reader that lists objects would see both.
    }

    public void Delete(IReadOnlyList<string> names)
    {
        ArgumentNullException.ThrowIfNull(names);
        foreach (var batch in names.Chunk(1000))
        {
            Ask("deleting replaced files", () => _client.DeleteObjectsAsync(new DeleteObjectsRequest
            {
                BucketName = _options.Bucket,
                Objects = [.. batch.Select(name => new KeyVersion { Key = KeyOf(name) })],
            }));
        }
    }

    public void DeleteFolder(string folder)
    {
        _marks.Clear();
        Delete([.. Names(folder + "/")]);
    }

    public IReadOnlySet<string> Sweep(IReadOnlySet<string> known)
    {
        if (Directory.Exists(_staging))
        {
            foreach (var path in Directory.EnumerateFiles(_staging))
                File.Delete(path);
        }

        if (!_options.IsSimple)
            AbortUploads();
        var found = Names("").Where(name => name.EndsWith(".parquet", StringComparison.Ordinal)).ToHashSet(StringComparer.Ordinal);
        Delete([.. found.Where(name => !known.Contains(name))]);
        found.IntersectWith(known);
        return found;
    }

    public void Dispose() => _client.Dispose();

    /// <summary>Takes back parts of uploads that a crash left; nobody else writes below the prefix.</summary>
    private void AbortUploads()
    {
        var uploads = Ask("listing unfinished uploads", () => _client.ListMultipartUploadsAsync(
            new ListMultipartUploadsRequest { BucketName = _options.Bucket, Prefix = _options.Prefix }));
        foreach (var upload in uploads.MultipartUploads ?? [])
            Ask("taking back an unfinished upload", () => _client.AbortMultipartUploadAsync(_options.Bucket, upload.Key, upload.UploadId));
    }

    private IEnumerable<string> Names(string prefix)
    {
        foreach (var page in List(KeyOf(prefix), null))
        {
            foreach (var item in page.S3Objects ?? [])
                yield return item.Key[_options.Prefix.Length..];
        }
    }

    private IEnumerable<ListObjectsV2Response> List(string prefix, string? delimiter)
    {
        var request = new ListObjectsV2Request { BucketName = _options.Bucket, Prefix = prefix, Delimiter = delimiter };
        while (true)
        {
            var page = Ask("listing", () => _client.ListObjectsV2Async(request));
            yield return page;
            if (page.IsTruncated != true || page.NextContinuationToken is null)
                yield break;
            request.ContinuationToken = page.NextContinuationToken;
        }
    }

    private GetObjectMetadataResponse? HeadOf(string name) => Ask($"asking for {name}", async () =>
    {
        try
        {
            return await _client.GetObjectMetadataAsync(_options.Bucket, KeyOf(name)).ConfigureAwait(false);
        }
        catch (AmazonS3Exception fault) when (fault.StatusCode == HttpStatusCode.NotFound)
        {
            return null;
        }
    });

    private string KeyOf(string name) => _options.Prefix + name;

    private T Ask<T>(string what, Func<Task<T>> request)
    {
        try
        {
            return Task.Run(request).GetAwaiter().GetResult();
        }
        catch (Exception fault) when (fault is AmazonServiceException or AmazonClientException or HttpRequestException or OperationCanceledException
            || (fault is IOException and not FileNotFoundException))
        {
            throw new IOException($"{Name}: {what} failed: {fault.Message}", fault);
        }
    }

    /// <summary>An object read by ranges.</summary>
    private sealed class ObjectSource(S3HistoryStore store, string name, long length) : ParquetSource
    {
        public override string Name => $"{store.Name}/{name}";

        public override long Length => length;

        public override ValueTask<int> ReadAsync(long offset, Memory<byte> destination, CancellationToken cancel)
        {
            var count = (int)Math.Clamp(length - offset, 0, destination.Length);
            if (count <= 0)
                return new(0);

            return new(store.Ask($"reading {name}", async () =>
            {
                var request = new GetObjectRequest
                {
                    BucketName = store._options.Bucket,
                    Key = store.KeyOf(name),
                    ByteRange = new ByteRange(offset, offset + count - 1),
                };
                using var answer = await store._client.GetObjectAsync(request, cancel).ConfigureAwait(false);
                return await answer.ResponseStream.ReadAtLeastAsync(destination[..count], count, throwOnEndOfStream: false, cancel).ConfigureAwait(false);
            }));
        }
    }
}
