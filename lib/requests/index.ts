export type {
  RequestHeartbeatOptions,
  RequestKey,
  RequestOptions,
  RequestsEvents,
  RequestsOptions,
  UnaskedInfo,
} from './options';
export { Requests } from './requests';
