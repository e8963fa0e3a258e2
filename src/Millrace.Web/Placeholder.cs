namespace Millrace.Web;
